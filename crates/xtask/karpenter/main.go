// Karpenter's scheduler as a function from a cluster, its pools and a catalogue to nodes: one of the two sides of
// `cargo xtask bench`. It reads the files that `kubectl ocean simulate` reads and takes the same flags.
//
// Each node is priced at the cheapest offering still open to it when the scheduler is done, which is the best that
// EC2 could pick. Only Solve is timed: the scheduler's own benchmark leaves the set-up out too. Where its processor
// time is less than the time that went by, other programs held the machine, and the processor time counts.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"sigs.k8s.io/karpenter/pkg/controllers/provisioning/scheduling"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/events"
	"sigs.k8s.io/karpenter/pkg/operator/options"
	karpenter "sigs.k8s.io/karpenter/pkg/scheduling"
	nodepools "sigs.k8s.io/karpenter/pkg/utils/nodepool"
)

// reconciles is the concurrency of the scheduler's own benchmark.
const reconciles = 5

// answer is what the bench reads.
type answer struct {
	NewNodes      int     `json:"newNodes"`
	Existing      int     `json:"existing"`
	Unschedulable int     `json:"unschedulable"`
	HourlyCost    float64 `json:"hourlyCost"`
	SetUpMillis   float64 `json:"setUpMillis"`
	SolveMillis   float64 `json:"solveMillis"`
}

func main() {
	ocean := flag.String("ocean", "", "manifest of the SpotOcean whose pools become NodePools")
	cluster := flag.String("cluster", "", "pods, nodes and DaemonSets, as a List in JSON")
	catalogue := flag.String("catalogue", "", "instance types with stated allocatable and prices")
	flag.Parse()
	log.SetLogger(logr.Discard())
	found, err := run(*ocean, *cluster, *catalogue)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ocean, cluster, catalogue string) (*answer, error) {
	w, err := readWorld(ocean, cluster, catalogue)
	if err != nil {
		return nil, err
	}
	ctx := options.ToContext(context.Background(), &options.Options{
		CPURequests:       1000 * reconciles,
		PreferencePolicy:  options.PreferencePolicyRespect,
		MinValuesPolicy:   options.MinValuesPolicyStrict,
		IgnoreDRARequests: true,
		FeatureGates:      options.DefaultFeatureGates(),
	})
	clk := clock.RealClock{}
	api := fake.NewClientBuilder().WithIndex(&corev1.Pod{}, "spec.nodeName", func(o client.Object) []string {
		return []string{o.(*corev1.Pod).Spec.NodeName}
	}).Build()
	known := state.NewCluster(clk, api, nil)
	if err := fill(ctx, known, api, w); err != nil {
		return nil, err
	}
	started := time.Now()
	nodepools.OrderByWeight(w.pools)
	nodes := known.DeepCopyNodes()
	opts := []scheduling.Options{scheduling.NumConcurrentReconciles(reconciles)}
	topology, err := scheduling.NewTopology(ctx, api, known, nodes, w.pools, w.types, w.pending, opts...)
	if err != nil {
		return nil, fmt.Errorf("the topology: %w", err)
	}
	scheduler := scheduling.NewScheduler(ctx, api, w.pools, known, nodes, topology, w.types, w.daemons,
		events.NewRecorder(&record.FakeRecorder{}), clk, nil, nil, opts...)
	ready, used := time.Now(), processorTime()
	results, err := scheduler.Solve(ctx, w.pending)
	if err != nil {
		return nil, fmt.Errorf("solving: %w", err)
	}
	solve := min(time.Since(ready), processorTime()-used)
	return tell(&results, ready.Sub(started), solve), nil
}

// processorTime is what all threads of this process have had.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // The only errors are bad arguments.
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// fill puts nodes and bound pods where the scheduler looks for them.
func fill(ctx context.Context, known *state.Cluster, api client.Client, w *world) error {
	for _, node := range w.nodes {
		if err := api.Create(ctx, node.DeepCopy()); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
		if err := known.UpdateNode(ctx, node); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	for _, pod := range w.bound {
		if err := api.Create(ctx, pod.DeepCopy()); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		if err := known.UpdatePod(ctx, pod); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	return nil
}

func tell(results *scheduling.Results, setUp, solve time.Duration) *answer {
	found := &answer{
		NewNodes:      len(results.NewNodeClaims),
		Unschedulable: len(results.PodErrors),
		SetUpMillis:   float64(setUp.Microseconds()) / 1e3,
		SolveMillis:   float64(solve.Microseconds()) / 1e3,
	}
	for _, node := range results.ExistingNodes {
		found.Existing += len(node.Pods)
	}
	for _, claim := range results.NewNodeClaims {
		found.HourlyCost += cheapest(claim)
	}
	return found
}

// cheapest is the price of the cheapest offering that the claim leaves open.
func cheapest(claim *scheduling.NodeClaim) float64 {
	best := math.Inf(1)
	for _, instanceType := range claim.InstanceTypeOptions {
		for _, offering := range instanceType.Offerings.Available() {
			if claim.Requirements.IsCompatible(offering.Requirements, karpenter.AllowUndefinedWellKnownLabels) {
				best = min(best, offering.Price)
			}
		}
	}
	return best
}
