// An apiserver in memory for the scheduler oracle: client-go's object tracker,
// with what the scheduler relies on and the tracker lacks: defaults, mutation
// and validation of pods as the real apiserver does them, resource versions,
// the binding subresource, and a provisioner for claims that wait for a pod.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	genericrequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes/fake"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	core "k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/controller/daemon"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"
)

// The scheduler's word to the provisioner, and the controller's word back.
const (
	annotationSelectedNode  = "volume.kubernetes.io/selected-node"
	annotationBindCompleted = "pv.kubernetes.io/bind-completed"
)

var (
	podResource      = v1.SchemeGroupVersion.WithResource("pods")
	nodeResource     = v1.SchemeGroupVersion.WithResource("nodes")
	claimResource    = v1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	volumeResource   = v1.SchemeGroupVersion.WithResource("persistentvolumes")
	classResource    = storagev1.SchemeGroupVersion.WithResource("storageclasses")
	csiNodeResource  = storagev1.SchemeGroupVersion.WithResource("csinodes")
	zoneOfNode       = []string{v1.LabelTopologyZone, "topology.ebs.csi.aws.com/zone"}
	labelsOfTopology = []string{v1.LabelTopologyZone, v1.LabelTopologyRegion}
)

type podKey struct{ namespace, name string }

func (key podKey) String() string { return key.namespace + "/" + key.name }

func parsePodKey(text string) (podKey, error) {
	namespace, name, found := strings.Cut(text, "/")
	if !found {
		return podKey{}, fmt.Errorf("%q is not namespace/name", text)
	}
	return podKey{namespace, name}, nil
}

// memoryAPI is the apiserver. Its tracker counts versions and provisions volumes.
type memoryAPI struct {
	testing.ObjectTracker
	client *fake.Clientset

	daemonSets  []*appsv1.DaemonSet
	daemonNodes []string

	mutex   sync.Mutex
	version int64
	bound   map[podKey]bool
	deleted []string
}

func newMemoryAPI() *memoryAPI {
	api := &memoryAPI{
		ObjectTracker: testing.NewObjectTracker(clientscheme.Scheme, clientscheme.Codecs.UniversalDecoder()),
		client:        &fake.Clientset{},
		bound:         make(map[podKey]bool),
	}
	api.client.AddReactor("create", "pods", api.bind)
	api.client.AddReactor("*", "*", testing.ObjectReaction(api))
	api.client.AddWatchReactor("*", func(action testing.Action) (bool, watch.Interface, error) {
		var options metav1.ListOptions
		if watched, known := action.(testing.WatchActionImpl); known {
			options = watched.ListOptions
		}
		watcher, err := api.Watch(action.GetResource(), action.GetNamespace(), options)
		return err == nil, watcher, err
	})
	return api
}

func (api *memoryAPI) stamp(object runtime.Object) error {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	api.mutex.Lock()
	defer api.mutex.Unlock()
	api.version++
	accessor.SetResourceVersion(strconv.FormatInt(api.version, 10))
	if accessor.GetUID() == "" {
		accessor.SetUID(types.UID(fmt.Sprintf("uid-%s-%d", accessor.GetName(), api.version)))
	}
	if pod, isPod := object.(*v1.Pod); isPod && pod.Spec.NodeName != "" {
		api.bound[podKey{pod.Namespace, pod.Name}] = true
	}
	return nil
}

// Create adds an object under a new version.
func (api *memoryAPI) Create(resource schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.CreateOptions) error {
	if err := api.stamp(object); err != nil {
		return err
	}
	return api.ObjectTracker.Create(resource, object, namespace, options...)
}

// Update replaces an object under a new version.
func (api *memoryAPI) Update(resource schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.UpdateOptions) error {
	if err := api.stamp(object); err != nil {
		return err
	}
	if err := api.ObjectTracker.Update(resource, object, namespace, options...); err != nil {
		return err
	}
	if claim, isClaim := object.(*v1.PersistentVolumeClaim); isClaim {
		return api.provision(claim)
	}
	return nil
}

// Patch replaces an object by its patched form under a new version.
func (api *memoryAPI) Patch(resource schema.GroupVersionResource, object runtime.Object, namespace string, options ...metav1.PatchOptions) error {
	if err := api.stamp(object); err != nil {
		return err
	}
	return api.ObjectTracker.Patch(resource, object, namespace, options...)
}

// Delete removes an object; of pods it keeps the names.
func (api *memoryAPI) Delete(resource schema.GroupVersionResource, namespace, name string, options ...metav1.DeleteOptions) error {
	if resource == podResource {
		api.mutex.Lock()
		api.deleted = append(api.deleted, podKey{namespace, name}.String())
		delete(api.bound, podKey{namespace, name})
		api.mutex.Unlock()
	}
	return api.ObjectTracker.Delete(resource, namespace, name, options...)
}

// create adds an object from JSON as the apiserver would admit it; `change` may touch a pod's status.
func (api *memoryAPI) create(raw json.RawMessage, change func(*v1.Pod)) error {
	object, kind, err := clientscheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		return fmt.Errorf("an object cannot be read: %w: %s", err, raw)
	}
	resource, _ := meta.UnsafeGuessKindToResource(*kind)
	return api.store(resource, object, change)
}

func (api *memoryAPI) store(resource schema.GroupVersionResource, object runtime.Object, change func(*v1.Pod)) error {
	legacyscheme.Scheme.Default(object)
	if pod, isPod := object.(*v1.Pod); isPod {
		admitted, err := admit(pod)
		if err != nil {
			return err
		}
		if pod.Spec.NodeName != "" {
			admitted.Status = pod.Status
		}
		if change != nil {
			change(admitted)
		}
		object = admitted
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	return api.Create(resource, object, accessor.GetNamespace())
}

// addDaemonSets gives the named nodes, those that come later included, their daemons.
func (api *memoryAPI) addDaemonSets(sets []json.RawMessage, nodes []string) error {
	for _, raw := range sets {
		object, _, err := clientscheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
		if err != nil {
			return fmt.Errorf("a DaemonSet cannot be read: %w: %s", err, raw)
		}
		legacyscheme.Scheme.Default(object)
		set, isSet := object.(*appsv1.DaemonSet)
		if !isSet {
			return fmt.Errorf("not a DaemonSet: %s", raw)
		}
		api.daemonSets = append(api.daemonSets, set)
	}
	api.daemonNodes = nodes
	return api.runDaemons()
}

// runDaemons creates the daemon pods that the DaemonSet controller would create now and that are not there.
func (api *memoryAPI) runDaemons() error {
	for _, name := range api.daemonNodes {
		node := api.node(name)
		if node == nil {
			continue
		}
		for _, set := range api.daemonSets {
			key := podKey{set.Namespace, set.Name + "-" + name}
			if runs, _ := daemon.NodeShouldRunDaemonPod(klog.Background(), node, set); !runs || api.pod(key) != nil {
				continue
			}
			pod := daemon.NewPod(set, name).DeepCopy()
			pod.Name = key.name
			pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
			if err := api.store(podResource, pod, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// admit does what the apiserver does to a new pod before it is stored.
func admit(pod *v1.Pod) (*v1.Pod, error) {
	var internal core.Pod
	if err := legacyscheme.Scheme.Convert(pod, &internal, nil); err != nil {
		return nil, err
	}
	ctx := genericrequest.WithNamespace(context.Background(), pod.Namespace)
	podregistry.Strategy.PrepareForCreate(ctx, &internal)
	if faults := podregistry.Strategy.Validate(ctx, &internal); len(faults) > 0 {
		return nil, fmt.Errorf("pod %s/%s is invalid: %w", pod.Namespace, pod.Name, faults.ToAggregate())
	}
	admitted := &v1.Pod{}
	if err := legacyscheme.Scheme.Convert(&internal, admitted, nil); err != nil {
		return nil, err
	}
	admitted.TypeMeta = pod.TypeMeta
	return admitted, nil
}

// bind answers the binding subresource; it copies the node's topology labels
// as admission plugin PodTopologyLabels does.
func (api *memoryAPI) bind(action testing.Action) (bool, runtime.Object, error) {
	if action.GetSubresource() != "binding" {
		return false, nil, nil
	}
	binding := action.(testing.CreateAction).GetObject().(*v1.Binding)
	pod := api.pod(podKey{binding.Namespace, binding.Name})
	if pod == nil {
		return true, nil, fmt.Errorf("there is no pod %s/%s to bind", binding.Namespace, binding.Name)
	}
	if pod.Spec.NodeName != "" {
		return true, nil, fmt.Errorf("pod %s/%s is bound to %s already", pod.Namespace, pod.Name, pod.Spec.NodeName)
	}
	node := api.node(binding.Target.Name)
	if node == nil {
		return true, nil, fmt.Errorf("there is no node %q to bind to", binding.Target.Name)
	}
	pod.Spec.NodeName = node.Name
	pod.Status.NominatedNodeName = ""
	for _, key := range labelsOfTopology {
		if value, has := node.Labels[key]; has {
			if pod.Labels == nil {
				pod.Labels = make(map[string]string)
			}
			pod.Labels[key] = value
		}
	}
	return true, binding, api.Update(podResource, pod, pod.Namespace)
}

// provision makes the volume of a claim for which the scheduler has chosen a node, in that node's zone.
func (api *memoryAPI) provision(claim *v1.PersistentVolumeClaim) error {
	node := api.node(claim.Annotations[annotationSelectedNode])
	if claim.Spec.VolumeName != "" || claim.Spec.StorageClassName == nil || node == nil {
		return nil
	}
	found, err := api.Get(classResource, "", *claim.Spec.StorageClassName)
	if err != nil {
		return err
	}
	name := "pv-" + claim.Namespace + "-" + claim.Name
	volume := &v1.PersistentVolume{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}},
		Spec: v1.PersistentVolumeSpec{
			Capacity:         claim.Spec.Resources.Requests,
			AccessModes:      claim.Spec.AccessModes,
			StorageClassName: *claim.Spec.StorageClassName,
			ClaimRef:         &v1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: v1.PersistentVolumeSource{CSI: &v1.CSIPersistentVolumeSource{
				Driver: found.(*storagev1.StorageClass).Provisioner, VolumeHandle: name,
			}},
			NodeAffinity: zoneAffinity(node),
		},
		Status: v1.PersistentVolumeStatus{Phase: v1.VolumeBound},
	}
	if err := api.Create(volumeResource, volume, ""); err != nil {
		return err
	}
	bound := claim.DeepCopy()
	bound.Spec.VolumeName = name
	bound.Annotations[annotationBindCompleted] = "yes"
	bound.Status.Phase = v1.ClaimBound
	return api.Update(claimResource, bound, bound.Namespace)
}

func zoneAffinity(node *v1.Node) *v1.VolumeNodeAffinity {
	var terms []v1.NodeSelectorTerm
	for _, key := range zoneOfNode {
		if zone, has := node.Labels[key]; has {
			terms = append(terms, v1.NodeSelectorTerm{MatchExpressions: []v1.NodeSelectorRequirement{
				{Key: key, Operator: v1.NodeSelectorOpIn, Values: []string{zone}},
			}})
		}
	}
	if terms == nil {
		return nil
	}
	return &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: terms}}
}

// nominate writes a pod's nomination; false when it is bound or has it already.
func (api *memoryAPI) nominate(key podKey, node string) (bool, error) {
	pod := api.pod(key)
	if pod == nil || pod.Spec.NodeName != "" || pod.Status.NominatedNodeName == node {
		return false, nil
	}
	pod.Status.NominatedNodeName = node
	return true, api.Update(podResource, pod, pod.Namespace)
}

// untaint takes the taints with this key off a node.
func (api *memoryAPI) untaint(name, key string) error {
	node := api.node(name)
	if node == nil {
		return fmt.Errorf("there is no node %q to take a taint off", name)
	}
	var kept []v1.Taint
	for _, taint := range node.Spec.Taints {
		if taint.Key != key {
			kept = append(kept, taint)
		}
	}
	node.Spec.Taints = kept
	return api.Update(nodeResource, node, "")
}

func hasTaint(node *v1.Node, key string) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == key {
			return true
		}
	}
	return false
}

// pod is a copy of one pod, nil when there is none.
func (api *memoryAPI) pod(key podKey) *v1.Pod {
	found, err := api.Get(podResource, key.namespace, key.name)
	if err != nil {
		return nil
	}
	return found.(*v1.Pod).DeepCopy()
}

// node is a copy of one node, nil when there is none.
func (api *memoryAPI) node(name string) *v1.Node {
	found, err := api.Get(nodeResource, "", name)
	if err != nil {
		return nil
	}
	return found.(*v1.Node).DeepCopy()
}

func (api *memoryAPI) hasCSINode(name string) bool {
	_, err := api.Get(csiNodeResource, "", name)
	return err == nil
}

func (api *memoryAPI) nodeNames() []string {
	list, err := api.List(nodeResource, v1.SchemeGroupVersion.WithKind("Node"), "")
	if err != nil {
		return nil
	}
	var names []string
	for _, node := range list.(*v1.NodeList).Items {
		names = append(names, node.Name)
	}
	return names
}

func (api *memoryAPI) boundPods() int {
	api.mutex.Lock()
	defer api.mutex.Unlock()
	return len(api.bound)
}

func (api *memoryAPI) deletedPods() []string {
	api.mutex.Lock()
	defer api.mutex.Unlock()
	sort.Strings(api.deleted)
	return api.deleted
}
