// Command franz-go runs the checks with github.com/twmb/franz-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"klamm.example/conformance/checks"
)

var ctx = context.Background()

func main() { checks.Run(&client{admin: kadm.NewClient(open())}) }

func open(options ...kgo.Opt) *kgo.Client {
	options = append(options, kgo.SeedBrokers(checks.Bootstrap), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.RetryTimeout(25*time.Second))
	return checks.Get(kgo.NewClient(options...))
}

type client struct{ admin *kadm.Client }

func (*client) Lacks() []string { return nil }

func (*client) Code(err error) int16 {
	var found *kerr.Error
	if errors.As(err, &found) {
		return found.Code
	}
	return -1
}

type producer struct{ *kgo.Client }

var codecs = map[string]kgo.CompressionCodec{
	"gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func (*client) Producer(o checks.ProducerOptions) checks.Producer {
	codec, known := codecs[o.Codec]
	if !known {
		codec = kgo.NoCompression()
	}
	acks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}[o.Acks]
	options := []kgo.Opt{
		kgo.ProducerBatchCompression(codec), kgo.RequiredAcks(acks), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(20),
		kgo.RecordPartitioner(partitioner{kgo.StickyKeyPartitioner(nil)}),
	}
	if !o.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	return producer{open(options...)}
}

// partitioner takes the partition that the record names, or else asks the key.
type partitioner struct{ keyed kgo.Partitioner }

type topicPartitioner struct{ kgo.TopicPartitioner }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.keyed.ForTopic(topic)}
}

func (t topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return t.TopicPartitioner.Partition(r, n)
}

func (p producer) Send(topic string, r checks.Record, done func(int32, int64, error)) {
	record := &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
	if r.Time != 0 {
		record.Timestamp = time.UnixMilli(r.Time)
	}
	for _, header := range r.Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
	}
	p.Produce(ctx, record, func(r *kgo.Record, err error) { done(r.Partition, r.Offset, err) })
}

func (p producer) Close() {
	checks.Must(p.Flush(ctx))
	p.Client.Close()
}

func from(r *kgo.Record) checks.Record {
	found := checks.Record{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value,
		Time: r.Timestamp.UnixMilli()}
	for _, header := range r.Headers {
		found.Headers = append(found.Headers, checks.Header{Key: header.Key, Value: header.Value})
	}
	return found
}

func poll(c *kgo.Client, wait time.Duration) []checks.Record {
	limit, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var records []checks.Record
	c.PollFetches(limit).EachRecord(func(r *kgo.Record) { records = append(records, from(r)) })
	return records
}

func (*client) Read(topic string, partition int32, offset int64, count int) ([]checks.Record, error) {
	start := kgo.NewOffset().At(offset)
	c := open(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: start}}))
	defer c.Close()
	var records []checks.Record
	checks.Await("records to read", func() bool {
		records = append(records, poll(c, 100*time.Millisecond)...)
		return len(records) >= count
	})
	return records[:count], nil
}

func (c *client) Range(topic string, partition int32) (int64, int64, error) {
	first, err := c.admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return 0, 0, err
	}
	end, err := c.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = end.Error()
	}
	if err != nil {
		return 0, 0, err
	}
	start, _ := first.Lookup(topic, partition)
	last, _ := end.Lookup(topic, partition)
	return start.Offset, last.Offset, nil
}

// OffsetForTime: the admin client falls back to the end where there is no such record.
func (c *client) OffsetForTime(topic string, partition int32, ms int64) (int64, error) {
	found, err := c.admin.ListOffsetsAfterMilli(ctx, ms, topic)
	if err == nil {
		err = found.Error()
	}
	at, _ := found.Lookup(topic, partition)
	if at.Timestamp < 0 {
		return -1, err
	}
	return at.Offset, err
}

type member struct {
	*kgo.Client
	lock     sync.Mutex
	assigned map[int32]bool
}

func (*client) Join(group, topic string, o checks.MemberOptions) checks.Member {
	m := &member{assigned: map[int32]bool{}}
	change := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for _, partition := range changed[topic] {
				if has {
					m.assigned[partition] = true
				} else {
					delete(m.assigned, partition)
				}
			}
		}
	}
	balancer := kgo.RangeBalancer()
	if o.Cooperative {
		balancer = kgo.CooperativeStickyBalancer()
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(300 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)),
		kgo.OnPartitionsLost(change(false)),
	}
	if o.Instance != "" {
		options = append(options, kgo.InstanceID(o.Instance))
	}
	m.Client = open(options...)
	return m
}

func (m *member) Poll(wait time.Duration) []checks.Record { return poll(m.Client, wait) }

func (m *member) Assigned() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	var found []int32
	for partition := range m.assigned {
		found = append(found, partition)
	}
	sort.Slice(found, func(i, j int) bool { return found[i] < found[j] })
	return found
}

func (m *member) Commit(topic string, partition int32, offset int64) error {
	m.lock.Lock()
	group, _ := m.Client.GroupMetadata()
	m.lock.Unlock()
	if group == "" {
		return fmt.Errorf("not in a group")
	}
	var failed error
	at := map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: offset}}}
	m.CommitOffsetsSync(ctx, at, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		failed = err
		if err == nil {
			failed = kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
		}
	})
	return failed
}

func (m *member) Close() { m.Client.Close() }

func (c *client) Committed(group, topic string, partition int32) (int64, error) {
	found, err := c.admin.FetchOffsetsForTopics(ctx, group, topic)
	if err == nil {
		err = found.Error()
	}
	at, _ := found.Lookup(topic, partition)
	return at.At, err
}

func (c *client) CreateTopic(name string, partitions int, configs map[string]string) error {
	set := map[string]*string{}
	for key, value := range configs {
		set[key] = &value
	}
	_, err := c.admin.CreateTopic(ctx, int32(partitions), int16(checks.Replicas), set, name)
	return err
}

func (c *client) DeleteTopic(name string) error {
	_, err := c.admin.DeleteTopic(ctx, name)
	return err
}

func (c *client) Topics() ([]string, error) {
	found, err := c.admin.ListTopics(ctx)
	return found.Names(), err
}

func (c *client) Describe(topic string) ([]checks.Partition, error) {
	found, err := c.admin.ListTopics(ctx, topic)
	if err == nil {
		err = found[topic].Err
	}
	var partitions []checks.Partition
	for _, p := range found[topic].Partitions.Sorted() {
		partitions = append(partitions, checks.Partition{ID: p.Partition, Leader: p.Leader, Replicas: p.Replicas})
	}
	return partitions, err
}

func configs(found kadm.ResourceConfigs, err error) (map[string]string, error) {
	if err == nil {
		err = found[0].Err
	}
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, config := range found[0].Configs {
		values[config.Key] = config.MaybeValue()
	}
	return values, nil
}

func (c *client) TopicConfigs(topic string) (map[string]string, error) {
	return configs(c.admin.DescribeTopicConfigs(ctx, topic))
}

func (c *client) BrokerConfigs(broker int32) (map[string]string, error) {
	return configs(c.admin.DescribeBrokerConfigs(ctx, broker))
}

func (c *client) SetTopicConfig(topic, key, value string) error {
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value}
	found, err := c.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic)
	if err == nil {
		err = found[0].Err
	}
	return err
}

func (c *client) CreatePartitions(topic string, count int) error {
	found, err := c.admin.UpdatePartitions(ctx, count, topic)
	if err == nil {
		err = found[topic].Err
	}
	return err
}

func (c *client) DeleteRecords(topic string, partition int32, offset int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, offset, -1)
	found, err := c.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = found.Error()
	}
	return err
}

func (c *client) Groups() ([]string, error) {
	found, err := c.admin.ListGroups(ctx)
	return found.Groups(), err
}

func (c *client) DescribeGroup(group string) (string, int, error) {
	found, err := c.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = found[group].Err
	}
	return found[group].State, len(found[group].Members), err
}

func (c *client) DeleteGroup(group string) error {
	_, err := c.admin.DeleteGroup(ctx, group)
	return err
}

func (c *client) Brokers() (map[int32]string, error) {
	found, err := c.admin.BrokerMetadata(ctx)
	brokers := map[int32]string{}
	for _, broker := range found.Brokers {
		brokers[broker.NodeID] = net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
	}
	return brokers, err
}

func (c *client) LogSize(topic string) (int64, error) {
	var set kadm.TopicsSet
	set.Add(topic, 0)
	found, err := c.admin.DescribeAllLogDirs(ctx, set)
	var size int64
	found.Each(func(dir kadm.DescribedLogDir) { size += dir.Size() })
	return size, err
}
