// A scheduler plugin for the oracle: a pod that is pinned is tried on its node
// only. Everything else about the profile stays as it is by default, so that
// the answer is kube-scheduler's own filters' word on that node.
package main

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	configv1 "k8s.io/kube-scheduler/config/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
)

const pinName = "Pinned"

// pinPlugin narrows a pinned pod's nodes down to one.
type pinPlugin map[podKey]string

var _ fwk.PreFilterPlugin = pinPlugin{}

func (pinPlugin) Name() string { return pinName }

func (pins pinPlugin) PreFilter(_ context.Context, _ fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if node, pinned := pins[podKey{pod.Namespace, pod.Name}]; pinned {
		return &fwk.PreFilterResult{NodeNames: sets.New(node)}, nil
	}
	return nil, fwk.NewStatus(fwk.Skip)
}

func (pinPlugin) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// pinOptions is the default profile with the plugin.
func pinOptions(pins map[podKey]string) ([]scheduler.Option, error) {
	var versioned configv1.KubeSchedulerConfiguration
	scheme.Scheme.Default(&versioned)
	var defaults config.KubeSchedulerConfiguration
	if err := scheme.Scheme.Convert(&versioned, &defaults, nil); err != nil {
		return nil, err
	}
	preFilter := &defaults.Profiles[0].Plugins.PreFilter
	preFilter.Enabled = append(preFilter.Enabled, config.Plugin{Name: pinName})
	factory := func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) { return pinPlugin(pins), nil }
	return []scheduler.Option{
		scheduler.WithProfiles(defaults.Profiles...),
		scheduler.WithFrameworkOutOfTreeRegistry(frameworkruntime.Registry{pinName: factory}),
	}, nil
}
