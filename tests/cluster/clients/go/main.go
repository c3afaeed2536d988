// Command cluster-client is an idempotent producer and two members of a group, with franz-go, that
// write down what they do.
//
// Arguments: bootstrap, topic, partitions, producer number, records a second, operation log, stop
// file. It ends in good order when the stop file appears.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	group      = "franz-go"
	valueBytes = 100
)

var (
	bootstrap  = strings.Split(os.Args[1], ",")
	topic      = os.Args[2]
	partitions = atoi(os.Args[3])
	number     = atoi(os.Args[4])
	rate       = atoi(os.Args[5])
	log        = newLog(os.Args[6])
	stop       = os.Args[7]
)

func main() {
	var all sync.WaitGroup
	start := func(client string, job func(client string) error) {
		all.Go(func() {
			log.add("started", fields{"client": client})
			// Whoever fails has not stopped: the log lacks the line that says so.
			if err := job(client); err != nil {
				log.add("error", fields{"client": client, "text": err.Error()})
				return
			}
			log.add("stopped", fields{"client": client})
		})
	}
	start(fmt.Sprintf("franz-go-producer-%d", number), produce)
	for which := range 2 {
		start(fmt.Sprintf("franz-go-consumer-%d-%d", number, which), consume)
	}
	all.Wait()
	log.close()
}

func common(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap...),
		kgo.MetadataMinAge(20 * time.Millisecond),
		// A host that vanished says nothing: answers are not waited for longer than this.
		kgo.RequestTimeoutOverhead(1500 * time.Millisecond),
		kgo.DialTimeout(time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	}, more...)
}

func produce(client string) error {
	producer, err := kgo.NewClient(common(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(time.Millisecond),
		kgo.ProduceRequestTimeout(1500*time.Millisecond),
		kgo.RecordDeliveryTimeout(time.Minute),
	)...)
	if err != nil {
		return err
	}
	defer producer.Close()
	begun := time.Now()
	for next := 0; !isOver(); {
		if float64(next) >= time.Since(begun).Seconds()*float64(rate) {
			time.Sleep(2 * time.Millisecond)
			continue
		}
		send(client, producer, next)
		next++
	}
	return producer.Flush(context.Background())
}

func send(client string, producer *kgo.Client, next int) {
	partition := next % partitions
	log.add("send", fields{"producer": number, "number": next, "topic": topic, "partition": partition})
	record := &kgo.Record{Topic: topic, Partition: int32(partition), Value: payload(partition, next)}
	producer.Produce(context.Background(), record, func(record *kgo.Record, err error) {
		if err == nil {
			log.add("acked", fields{"producer": number, "number": next, "offset": record.Offset})
			return
		}
		log.add("error", fields{"client": client, "text": err.Error()})
		log.add("unknown", fields{"producer": number, "number": next})
	})
}

func consume(client string) error {
	consumer, err := kgo.NewClient(common(
		kgo.ConsumerGroup(group),
		kgo.ClientID(client),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.SessionTimeout(10*time.Second),
		kgo.HeartbeatInterval(time.Second),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(ctx context.Context, consumer *kgo.Client, given map[string][]int32) {
			assigned(ctx, client, consumer, given[topic])
		}),
	)...)
	if err != nil {
		return err
	}
	for !isOver() {
		poll(client, consumer)
	}
	consumer.CloseAllowingRebalance()
	return nil
}

func assigned(ctx context.Context, client string, consumer *kgo.Client, given []int32) {
	pairs := make([][2]any, 0)
	for _, partition := range given {
		pairs = append(pairs, [2]any{topic, partition})
	}
	_, generation := consumer.GroupMetadata()
	log.add("assigned", fields{"consumer": client, "group": group, "generation": generation, "partitions": pairs})
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	request.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: given}}
	begun := now()
	answer, err := request.RequestWith(ctx, consumer)
	if err != nil || answer.ErrorCode != 0 {
		return
	}
	for _, topic := range answer.Topics {
		for _, at := range topic.Partitions {
			if at.ErrorCode == 0 && at.Offset >= 0 {
				log.add("resumed", fields{"group": group, "topic": topic.Topic, "partition": at.Partition,
					"offset": at.Offset, "begun": begun})
			}
		}
	}
}

func poll(client string, consumer *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	fetches := consumer.PollRecords(ctx, 500)
	cancel()
	defer consumer.AllowRebalance()
	fetches.EachError(func(_ string, _ int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			log.add("error", fields{"client": client, "text": err.Error()})
		}
	})
	var found []*kgo.Record
	fetches.EachRecord(func(record *kgo.Record) {
		found = append(found, record)
		log.add("polled", fields{"consumer": client, "topic": record.Topic, "partition": record.Partition,
			"offset": record.Offset, "value": string(record.Value), "epoch": record.LeaderEpoch})
	})
	if len(found) > 0 {
		commit(client, consumer, found)
	}
}

func commit(client string, consumer *kgo.Client, found []*kgo.Record) {
	begun := now()
	ends := make(map[int32]int64)
	for _, record := range found {
		ends[record.Partition] = record.Offset + 1
	}
	err := consumer.CommitRecords(context.Background(), found...)
	switch {
	case err == nil:
	case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration),
		errors.Is(err, kerr.UnknownMemberID):
		return
	default:
		log.add("error", fields{"client": client, "text": "commit: " + err.Error()})
		return
	}
	for partition, offset := range ends {
		log.add("committed", fields{"group": group, "topic": topic, "partition": partition, "offset": offset,
			"begun": begun})
	}
}

func payload(partition, next int) []byte {
	once := fmt.Sprintf("%s/%d/%d/%d;", topic, partition, number, next)
	often := strings.Repeat(once, valueBytes/len(once)+1)
	return []byte(often[:max(valueBytes, len(once))])
}

func isOver() bool {
	_, err := os.Stat(stop)
	return err == nil
}

func now() int64 { return time.Now().UnixMicro() }

func atoi(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return value
}

type fields map[string]any

type operationLog struct {
	sync.Mutex
	file *os.File
	out  *bufio.Writer
}

func newLog(path string) *operationLog {
	file, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	return &operationLog{file: file, out: bufio.NewWriter(file)}
}

func (l *operationLog) add(op string, fields fields) {
	l.Lock()
	defer l.Unlock()
	fields["op"], fields["at"] = op, now()
	line, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	l.out.Write(append(line, '\n'))
}

func (l *operationLog) close() {
	l.Lock()
	defer l.Unlock()
	if err := errors.Join(l.out.Flush(), l.file.Close()); err != nil {
		panic(err)
	}
}
