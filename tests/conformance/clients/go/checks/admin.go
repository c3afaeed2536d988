package checks

import (
	"maps"
	"slices"
)

func (m *matrix) adminChecks(check func(string, func())) {
	check("admin/describe-topic", m.describeTopic)
	check("admin/topic-configs", m.topicConfigs)
	check("admin/broker-configs", m.brokerConfigs)
	check("admin/create-partitions", m.createPartitions)
	check("admin/delete-records", m.deleteRecords)
	check("admin/groups", m.groups)
	check("admin/delete-topic", m.deleteTopic)
	check("admin/cluster", m.cluster)
	check("admin/log-dirs", m.logDirs)
}

func (m *matrix) broker() int32 {
	for id := range Get(m.Brokers()) {
		return id
	}
	panic(failure("no broker"))
}

func (m *matrix) describeTopic() {
	topic := m.topic(2)
	brokers := slices.Sorted(maps.Keys(Get(m.Brokers())))
	found := Get(m.Describe(topic))
	Same(2, len(found), "partitions")
	for _, partition := range found {
		Same(partition.Replicas[0], partition.Leader, "leader")
		Same(brokers, slices.Sorted(slices.Values(partition.Replicas)), "replicas")
	}
	Require(slices.Contains(Get(m.Topics()), topic), "not listed")
}

func (m *matrix) topicConfigs() {
	topic := m.topic(1, "retention.ms", "60000")
	configs := Get(m.TopicConfigs(topic))
	Same("60000", configs["retention.ms"], "retention.ms")
	Same("delete", configs["cleanup.policy"], "cleanup.policy")
	Must(m.SetTopicConfig(topic, "retention.ms", "70000"))
	Await("the new value", func() bool {
		return Get(m.TopicConfigs(topic))["retention.ms"] == "70000"
	})
}

func (m *matrix) brokerConfigs() {
	configs := Get(m.BrokerConfigs(m.broker()))
	Same("0", configs["group.initial.rebalance.delay.ms"], "group.initial.rebalance.delay.ms")
	Same("1048588", configs["message.max.bytes"], "message.max.bytes")
}

func (m *matrix) createPartitions() {
	topic := m.topic(1)
	Must(m.CreatePartitions(topic, 4))
	Await("four partitions", func() bool { return len(Get(m.Describe(topic))) == 4 })
	m.refused(37, func() error { return m.CreatePartitions(topic, 2) })
}

func (m *matrix) deleteRecords() {
	topic := m.topic(1)
	m.fill(topic, ProducerOptions{}, values(20)...)
	Must(m.DeleteRecords(topic, 0, 12))
	first, _, err := m.Range(topic, 0)
	Must(err)
	Same(12, first, "first offset")
	Same(12, m.readAll(topic)[0].Offset, "first record")
	m.refused(1, func() error { return m.DeleteRecords(topic, 0, 99) })
}

func (m *matrix) groups() {
	topic := m.topic(1)
	member := m.Join("admin-group", topic, MemberOptions{})
	Await("it has it", func() bool { return sizes([]int{0}, member) == "[1]" })
	state, members, err := m.DescribeGroup("admin-group")
	Must(err)
	Same("Stable 1", state+" "+string(rune('0'+members)), "state and members")
	Require(slices.Contains(Get(m.Groups()), "admin-group"), "not listed")
	m.refused(68, func() error { return m.DeleteGroup("admin-group") })
	Must(member.Commit(topic, 0, 0))
	member.Close()
	Await("it is empty", func() bool {
		state, _, err := m.DescribeGroup("admin-group")
		return err == nil && state == "Empty"
	})
	Must(m.DeleteGroup("admin-group"))
	Require(!slices.Contains(Get(m.Groups()), "admin-group"), "listed after deletion")
}

func (m *matrix) deleteTopic() {
	topic := m.topic(1)
	m.fill(topic, ProducerOptions{}, values(5)...)
	Must(m.DeleteTopic(topic))
	Await("it is gone", func() bool { return !slices.Contains(Get(m.Topics()), topic) })
}

func (m *matrix) cluster() {
	Same(Brokers, slices.Sorted(maps.Values(Get(m.Brokers()))), "addresses")
}

func (m *matrix) logDirs() {
	topic := m.topic(1)
	m.fill(topic, ProducerOptions{}, values(20)...)
	size := Get(m.LogSize(topic))
	Require(size > 500, "size of the log %d", size)
}
