// scheduler-oracle: what the real kube-scheduler does with a cluster.
//
// Reads cases from standard input, one JSON object a line, runs the scheduler
// of this Kubernetes version with its default profile over an apiserver in
// memory (see oracle_api.go), and writes one JSON object a line: where each
// pending pod was bound, and what the scheduler said of those it could not bind.
//
// A case's outcome is a fixed point: every pod still pending has been tried
// again after the last binding. Ties between nodes are broken at random by
// kube-scheduler; a verdict that must be the same each time nominates nodes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// Longer than any wait for the scheduler or its caches can honestly take.
const oraclePatience = 60 * time.Second

// Rounds after which a case is said to have no fixed point.
const oracleRounds = 100

// Events of one kind that a case may cause at once.
const oracleEvents = 10000

// oracleCase is a cluster, pods that wait, and what happens next.
type oracleCase struct {
	ID string `json:"id"`
	// Anything the scheduler looks at: nodes, bound pods, namespaces, volumes, claims, classes.
	Objects []json.RawMessage `json:"objects"`
	// DaemonSets; the nodes named in `daemonNodes` get their pods as the DaemonSet controller would decide.
	DaemonSets  []json.RawMessage `json:"daemonSets"`
	DaemonNodes []string          `json:"daemonNodes"`
	// Pods that wait, in the order of their creation.
	Pending []json.RawMessage `json:"pending"`
	// Nodes nominated for waiting pods, by namespace/name, from the beginning.
	Nominate map[string]string `json:"nominate"`
	// Nodes that waiting pods must go to, by namespace/name: they are tried on no other.
	Pin map[string]string `json:"pin"`
	// What comes later, each step after everything before it has settled.
	Steps []oracleStep `json:"steps"`
}

// oracleStep adds to the cluster.
type oracleStep struct {
	// Nodes, CSINodes and bound pods.
	Objects []json.RawMessage `json:"objects"`
	// Names of nodes whose taints with the key in `untaintKey` go.
	Untaint []string `json:"untaint"`
	// The key of those taints.
	UntaintKey string `json:"untaintKey"`
	// More nominations.
	Nominate map[string]string `json:"nominate"`
}

// oracleAnswer is the state of a case's waiting pods at its end.
type oracleAnswer struct {
	ID string `json:"id"`
	// Nodes by namespace/name.
	Bound map[string]string `json:"bound,omitempty"`
	// The scheduler's last message by namespace/name.
	Unschedulable map[string]string `json:"unschedulable,omitempty"`
	// Bound pods that preemption took away, by namespace/name.
	Preempted []string `json:"preempted,omitempty"`
	// Why there is no answer: an object that the apiserver refuses, a case without a fixed point.
	Error string `json:"error,omitempty"`
}

// runOracle answers every case on `input`.
func runOracle(arguments []string, input io.Reader, output io.Writer) error {
	flags := flag.NewFlagSet("scheduler-oracle", flag.ContinueOnError)
	workers := flags.Int("workers", 16, "cases at once; most of a case is waiting")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	runtime.ErrorHandlers = nil
	lines := make(chan []byte)
	var mutex sync.Mutex
	var group sync.WaitGroup
	var failure error
	encoder := json.NewEncoder(output)
	// A fake watcher panics when it holds more events than this: more than one case's pods.
	watch.DefaultChanSize = oracleEvents
	for range *workers {
		group.Go(func() {
			for line := range lines {
				answer := answerLine(line)
				mutex.Lock()
				if err := encoder.Encode(answer); err != nil && failure == nil {
					failure = err
				}
				mutex.Unlock()
			}
		})
	}
	reader := bufio.NewReaderSize(input, 1<<20)
	var readError error
	for readError == nil {
		var line []byte
		line, readError = reader.ReadBytes('\n')
		if len(line) > 1 {
			lines <- line
		}
	}
	close(lines)
	group.Wait()
	if readError != io.EOF {
		return readError
	}
	return failure
}

func answerLine(line []byte) oracleAnswer {
	var question oracleCase
	if err := json.Unmarshal(line, &question); err != nil {
		return oracleAnswer{Error: fmt.Sprintf("a case cannot be read: %v", err)}
	}
	answer, err := answerCase(&question)
	if err != nil {
		answer.Error = err.Error()
	}
	answer.ID = question.ID
	return answer
}

func answerCase(question *oracleCase) (oracleAnswer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	play, err := newPlay(ctx, question)
	defer func() {
		cancel()
		if play != nil {
			play.scheduler.SchedulingQueue.Close()
			play.informers.Shutdown()
		}
	}()
	if err != nil {
		return oracleAnswer{}, err
	}
	if err := play.settle(ctx); err != nil {
		return oracleAnswer{}, err
	}
	for _, step := range question.Steps {
		if err := play.take(ctx, step); err != nil {
			return oracleAnswer{}, err
		}
		if err := play.settle(ctx); err != nil {
			return oracleAnswer{}, err
		}
	}
	return play.answer(), nil
}

// play is one case under way.
type play struct {
	api       *memoryAPI
	informers informers.SharedInformerFactory
	scheduler *scheduler.Scheduler
	// Waiting pods in the order of their creation.
	waiting []podKey
	// Wanted nominations of pods not bound yet.
	nominations map[podKey]string
	mutex       sync.Mutex
	// What the scheduler last said of each pod.
	messages map[podKey]string
}

func newPlay(ctx context.Context, question *oracleCase) (*play, error) {
	api := newMemoryAPI()
	for _, object := range question.Objects {
		if err := api.create(object, nil); err != nil {
			return nil, err
		}
	}
	if err := api.addDaemonSets(question.DaemonSets, question.DaemonNodes); err != nil {
		return nil, err
	}
	factory := scheduler.NewInformerFactory(api.client, 0)
	recorder := func(string) events.EventRecorderLogger { return &events.FakeRecorder{} }
	pins := make(map[podKey]string)
	if err := parsePairs(question.Pin, pins); err != nil {
		return nil, err
	}
	options := []scheduler.Option{
		scheduler.WithParallelism(1),
		scheduler.WithPodInitialBackoffSeconds(0),
		scheduler.WithPodMaxBackoffSeconds(0),
	}
	if len(pins) > 0 {
		pinned, err := pinOptions(pins)
		if err != nil {
			return nil, err
		}
		options = append(options, pinned...)
	}
	sched, err := scheduler.New(ctx, api.client, factory, nil, recorder, options...)
	if err != nil {
		return nil, err
	}
	play := &play{
		api:         api,
		informers:   factory,
		scheduler:   sched,
		nominations: make(map[podKey]string),
		messages:    make(map[podKey]string),
	}
	play.listenToFailures()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		return play, err
	}
	if err := parsePairs(question.Nominate, play.nominations); err != nil {
		return play, err
	}
	for _, object := range question.Pending {
		var key podKey
		nominate := func(pod *v1.Pod) {
			key = podKey{pod.Namespace, pod.Name}
			pod.Status.NominatedNodeName = play.nominations[key]
		}
		if err := api.create(object, nominate); err != nil {
			return play, err
		}
		if key == (podKey{}) {
			return play, fmt.Errorf("a pending object is not a Pod: %s", object)
		}
		play.waiting = append(play.waiting, key)
	}
	// Watch events keep the order of creation, so that the last one tells of all.
	return play, play.await("the queue to hold all pods", func() bool {
		for _, key := range play.waiting {
			if _, queued := sched.SchedulingQueue.GetPod(key.name, key.namespace); !queued {
				return false
			}
		}
		return true
	})
}

func parsePairs(given map[string]string, into map[podKey]string) error {
	for text, node := range given {
		key, err := parsePodKey(text)
		if err != nil {
			return err
		}
		into[key] = node
	}
	return nil
}

// listenToFailures keeps what the scheduler says of each pod it cannot place.
func (play *play) listenToFailures() {
	handle := play.scheduler.FailureHandler
	play.scheduler.FailureHandler = func(ctx context.Context, profile framework.Framework, pod *framework.QueuedPodInfo,
		status *fwk.Status, nominating *fwk.NominatingInfo, start time.Time) {
		play.mutex.Lock()
		play.messages[podKey{pod.Pod.Namespace, pod.Pod.Name}] = status.Message()
		play.mutex.Unlock()
		handle(ctx, profile, pod, status, nominating, start)
	}
}

// take carries out one step.
func (play *play) take(ctx context.Context, step oracleStep) error {
	for _, object := range step.Objects {
		if err := play.api.create(object, nil); err != nil {
			return err
		}
	}
	for _, name := range step.Untaint {
		if err := play.api.untaint(name, step.UntaintKey); err != nil {
			return err
		}
	}
	if err := play.api.runDaemons(); err != nil {
		return err
	}
	nodes := play.api.nodeNames()
	untainted := make(map[string]bool)
	for _, name := range step.Untaint {
		untainted[name] = true
	}
	if err := parsePairs(step.Nominate, play.nominations); err != nil {
		return err
	}
	csiNodes := play.informers.Storage().V1().CSINodes().Lister()
	return play.await("the scheduler to see the step", func() bool {
		seen := play.scheduler.Cache.Dump()
		for _, name := range nodes {
			info := seen.Nodes[name]
			if info == nil || info.Node() == nil {
				return false
			}
			if untainted[name] && hasTaint(info.Node(), step.UntaintKey) {
				return false
			}
			if _, err := csiNodes.Get(name); err != nil && play.api.hasCSINode(name) {
				return false
			}
		}
		pods := 0
		for _, info := range seen.Nodes {
			pods += len(info.Pods)
		}
		return pods >= play.api.boundPods()
	})
}

// settle lets the scheduler try every pod that waits until a whole round binds none.
func (play *play) settle(ctx context.Context) error {
	for range oracleRounds {
		before := play.api.boundPods()
		if err := play.nominate(); err != nil {
			return err
		}
		play.scheduler.SchedulingQueue.Activate(klog.Background(), play.pending())
		// A retry is caused by a binding, so that there are at most pods² attempts.
		most := (len(play.waiting) + 1) * (len(play.waiting) + 1)
		for attempts := 0; len(play.scheduler.SchedulingQueue.PodsInActiveQ()) > 0 && attempts < most; attempts++ {
			play.scheduler.ScheduleOne(ctx)
		}
		err := play.await("bindings to be confirmed", func() bool {
			return len(play.scheduler.Cache.Dump().AssumedPods) == 0
		})
		if err != nil {
			return err
		}
		if play.api.boundPods() == before {
			return nil
		}
	}
	return fmt.Errorf("pods were still being bound after %d rounds", oracleRounds)
}

// nominate writes the wanted nominations that the scheduler has cleared or never had.
func (play *play) nominate() error {
	for _, key := range play.waiting {
		node, wanted := play.nominations[key]
		if !wanted {
			continue
		}
		changed, err := play.api.nominate(key, node)
		if err != nil {
			return err
		}
		if !changed {
			continue
		}
		err = play.await("a nomination to be seen", func() bool {
			queued, found := play.scheduler.SchedulingQueue.GetPod(key.name, key.namespace)
			return !found || queued.Pod.Status.NominatedNodeName == node
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pending are the waiting pods that have no node yet.
func (play *play) pending() map[string]*v1.Pod {
	pods := make(map[string]*v1.Pod)
	for _, key := range play.waiting {
		if pod := play.api.pod(key); pod != nil && pod.Spec.NodeName == "" {
			pods[key.String()] = pod
		}
	}
	return pods
}

func (play *play) answer() oracleAnswer {
	answer := oracleAnswer{
		Bound:         make(map[string]string),
		Unschedulable: make(map[string]string),
		Preempted:     play.api.deletedPods(),
	}
	play.mutex.Lock()
	defer play.mutex.Unlock()
	for _, key := range play.waiting {
		pod := play.api.pod(key)
		switch {
		case pod == nil:
		case pod.Spec.NodeName != "":
			answer.Bound[key.String()] = pod.Spec.NodeName
		default:
			answer.Unschedulable[key.String()] = play.messages[key]
		}
	}
	return answer
}

// await looks until the condition holds.
func (play *play) await(what string, holds func() bool) error {
	deadline := time.Now().Add(oraclePatience)
	for pause := 50 * time.Microsecond; !holds(); pause = min(2*pause, 20*time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("waited in vain for %s", what)
		}
		time.Sleep(pause)
	}
	return nil
}

func oracleMain() int {
	if err := runOracle(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "scheduler-oracle: %v\n", err)
		return 1
	}
	return 0
}
