package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/scheduling"
)

// oceanLabels are what SpotOcean knows of types beyond the well-known labels. The bench's catalogues hold only types
// that the pools admit, so requirements on these say nothing more here.
const oceanLabels = "spotocean.dev/"

// world is what one workload consists of, in Karpenter's words.
type world struct {
	pools   []*v1.NodePool
	types   map[string][]*cloudprovider.InstanceType
	pending []*corev1.Pod
	bound   []*corev1.Pod
	nodes   []*corev1.Node
	daemons []*corev1.Pod
}

// ocean is as much of a SpotOcean as a NodePool can say too.
type ocean struct {
	Spec struct {
		Pools []struct {
			Name         string                           `json:"name"`
			Weight       int32                            `json:"weight"`
			Labels       map[string]string                `json:"labels"`
			Taints       []corev1.Taint                   `json:"taints"`
			Requirements []corev1.NodeSelectorRequirement `json:"requirements"`
		} `json:"pools"`
	} `json:"spec"`
}

// described is an instance type of a catalogue.
type described struct {
	Type        string           `json:"type"`
	Arch        []string         `json:"arch"`
	Zones       map[string][]int `json:"az"`
	OnDemand    float64          `json:"usd"`
	Spot        spotPrices       `json:"spot"`
	Allocatable struct {
		CPUMillis int64 `json:"cpuMillis"`
		MemoryMiB int64 `json:"memoryMiB"`
		Pods      int64 `json:"pods"`
	} `json:"allocatable"`
}

// spotPrices are USD an hour by zone id.
type spotPrices map[string]float64

func readWorld(oceanFile, clusterFile, catalogueFile string) (*world, error) {
	w := &world{types: map[string][]*cloudprovider.InstanceType{}}
	var own ocean
	if err := read(oceanFile, &own); err != nil {
		return nil, err
	}
	var sold struct {
		Types []described `json:"types"`
	}
	if err := read(catalogueFile, &sold); err != nil {
		return nil, err
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := read(clusterFile, &list); err != nil {
		return nil, err
	}
	for _, item := range list.Items {
		if err := w.take(item); err != nil {
			return nil, fmt.Errorf("%s: %w", clusterFile, err)
		}
	}
	instanceTypes := make([]*cloudprovider.InstanceType, len(sold.Types))
	for i := range sold.Types {
		instanceTypes[i] = sold.Types[i].instanceType()
	}
	for _, pool := range own.Spec.Pools {
		nodePool := &v1.NodePool{ObjectMeta: metav1.ObjectMeta{Name: pool.Name}}
		nodePool.Spec.Weight = &pool.Weight
		template := &nodePool.Spec.Template
		template.Labels = pool.Labels
		template.Spec.Taints = pool.Taints
		template.Spec.NodeClassRef = &v1.NodeClassReference{Group: "bench", Kind: "Class", Name: "default"}
		for _, requirement := range pool.Requirements {
			if !strings.HasPrefix(requirement.Key, oceanLabels) {
				template.Spec.Requirements = append(template.Spec.Requirements, v1.NodeSelectorRequirementWithMinValues{
					Key: requirement.Key, Operator: requirement.Operator, Values: requirement.Values,
				})
			}
		}
		w.pools = append(w.pools, nodePool)
		w.types[pool.Name] = instanceTypes
	}
	return w, nil
}

func read(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// take sorts one object of the cluster into the world.
func (w *world) take(item json.RawMessage) error {
	var meta metav1.TypeMeta
	if err := json.Unmarshal(item, &meta); err != nil {
		return err
	}
	switch meta.Kind {
	case "Pod":
		pod := &corev1.Pod{}
		if err := json.Unmarshal(item, pod); err != nil {
			return err
		}
		// The scheduler caches what it knows of a pod by its UID.
		pod.UID = types.UID(pod.Namespace + "/" + pod.Name)
		if pod.Spec.NodeName == "" {
			w.pending = append(w.pending, pod)
		} else {
			w.bound = append(w.bound, pod)
		}
	case "Node":
		node := &corev1.Node{}
		if err := json.Unmarshal(item, node); err != nil {
			return err
		}
		w.nodes = append(w.nodes, node)
	case "DaemonSet":
		set := &appsv1.DaemonSet{}
		if err := json.Unmarshal(item, set); err != nil {
			return err
		}
		template := set.Spec.Template
		w.daemons = append(w.daemons, &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec})
	default:
		return fmt.Errorf("an object of kind %q is not part of any workload", meta.Kind)
	}
	return nil
}

func (d *described) instanceType() *cloudprovider.InstanceType {
	var offerings cloudprovider.Offerings
	zones := []string{}
	capacityTypes := []string{v1.CapacityTypeOnDemand}
	for prefix, numbers := range d.Zones {
		for _, number := range numbers {
			zone := fmt.Sprintf("%s-az%d", prefix, number)
			zones = append(zones, zone)
			offerings = append(offerings, offering(zone, v1.CapacityTypeOnDemand, d.OnDemand))
			if price, ok := d.Spot[zone]; ok {
				offerings = append(offerings, offering(zone, v1.CapacityTypeSpot, price))
				capacityTypes = []string{v1.CapacityTypeOnDemand, v1.CapacityTypeSpot}
			}
		}
	}
	arch := "amd64"
	if slices.Contains(d.Arch, "arm64") {
		arch = "arm64"
	}
	return &cloudprovider.InstanceType{
		Name: d.Type,
		Requirements: scheduling.NewRequirements(
			scheduling.NewRequirement(corev1.LabelInstanceTypeStable, corev1.NodeSelectorOpIn, d.Type),
			scheduling.NewRequirement(corev1.LabelArchStable, corev1.NodeSelectorOpIn, arch),
			scheduling.NewRequirement(corev1.LabelOSStable, corev1.NodeSelectorOpIn, string(corev1.Linux)),
			scheduling.NewRequirement(corev1.LabelTopologyZone, corev1.NodeSelectorOpIn, zones...),
			scheduling.NewRequirement(v1.CapacityTypeLabelKey, corev1.NodeSelectorOpIn, capacityTypes...),
		),
		Offerings: offerings,
		Capacity: corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(d.Allocatable.CPUMillis, resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(d.Allocatable.MemoryMiB<<20, resource.BinarySI),
			corev1.ResourcePods:   *resource.NewQuantity(d.Allocatable.Pods, resource.DecimalSI),
		},
		Overhead: &cloudprovider.InstanceTypeOverhead{},
	}
}

func offering(zone, capacityType string, price float64) *cloudprovider.Offering {
	return &cloudprovider.Offering{
		Requirements: scheduling.NewLabelRequirements(map[string]string{
			v1.CapacityTypeLabelKey:  capacityType,
			corev1.LabelTopologyZone: zone,
		}),
		Price:     price,
		Available: true,
	}
}
