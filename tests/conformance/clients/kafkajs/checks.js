// The checks of kafkajs.
'use strict'

const { CompressionTypes, ConfigResourceTypes } = require('kafkajs')
const { check, done, restartBroker, require: demand, same, until } = require('./report')
const kit = require('./kit')

const BASE = 1_600_000_000_000
const { admin, values, text } = kit

async function refused(type, action) {
  try {
    await action()
  } catch (error) {
    // Some come wrapped, as the cause of an error about retries.
    const found = [error, error.cause, ...(error.errors || [])].map((one) => one && one.type)
    demand(found.includes(type), `expected ${type} but found ${error.stack}`)
    return
  }
  throw new Error(`it worked but should be ${type}`)
}

const data = {
  async headers() {
    const topic = await kit.topic(1)
    await kit.fill(topic, [{ key: 'k', value: 'v', headers: { a: ['1', '2'], empty: '' } }])
    const [record] = await kit.readAll(topic, 1)
    same(['1', '2'], record.headers.a.map(String), 'header a')
    same('', String(record.headers.empty), 'empty header')
  },
  async 'null-keys-and-values'() {
    const topic = await kit.topic(1)
    await kit.fill(topic, [{ key: null, value: 'v' }, { key: 'k', value: null }])
    const found = await kit.readAll(topic, 2)
    same([null, 'v', 'k', null],
      found.flatMap((r) => [r.key, r.value]).map((b) => b && b.toString()), 'records')
  },
  async 'big-record'() {
    const topic = await kit.topic(1)
    const value = Buffer.alloc(900_000, 'klamm')
    for (let i = 0; i < 3; i++) await kit.fill(topic, [{ value }])
    for (const record of await kit.readAll(topic, 3)) {
      demand(value.equals(record.value), 'a big value changed')
    }
  },
  async 'keys-stay-in-their-partition'() {
    const topic = await kit.topic(6)
    await kit.fill(topic,
      Array.from({ length: 60 }, (_, i) => ({ key: `key-${i % 20}`, value: `${i}` })))
    const homes = new Map()
    const last = new Map()
    for (const record of await kit.readAll(topic, 60)) {
      const key = record.key.toString()
      same(homes.get(key) ?? record.partition, record.partition, `partition of ${key}`)
      demand((last.get(key) ?? -1) < Number(record.value), `order within ${key}`)
      homes.set(key, record.partition)
      last.set(key, Number(record.value))
    }
    demand(new Set(homes.values()).size > 1, 'one partition only')
  },
  async idempotent() {
    const topic = await kit.topic(3)
    await kit.fill(topic, values(300), { idempotent: true, maxInFlightRequests: 1 })
    same(300, new Set(text(await kit.readAll(topic, 300))).size, 'distinct records')
  },
  async 'offsets/for-times'() {
    const topic = await kit.topic(1)
    await kit.fill(topic,
      Array.from({ length: 50 }, (_, i) => ({ value: 'v', timestamp: String(BASE + i * 10) })))
    for (const i of [0, 1, 37, 49]) {
      const [found] = await admin.fetchTopicOffsetsByTimestamp(topic, BASE + i * 10 - 5)
      same(String(i), found.offset, `offset for time ${i}`)
    }
  },
  async 'offsets/beginning-and-end'() {
    const topic = await kit.topic(1)
    await kit.fill(topic, values(20))
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    same(['0', '20'], [low, high], 'offsets')
  },
  async 'offsets/seek-into-a-batch'() {
    const topic = await kit.topic(1)
    await kit.fill(topic, values(50), { codec: CompressionTypes.GZIP })
    const found = await kit.readAll(topic, 17, { from: 33 })
    same('33', found[0].offset, 'first offset')
  },
  async 'auto-create'() {
    await kit.fill('made-by-its-first-use', values(10))
    same(10, (await kit.readAll('made-by-its-first-use', 10)).length, 'records')
  },
  async 'errors/too-large'() {
    const topic = await kit.topic(1, { 'max.message.bytes': '2000' })
    await refused('MESSAGE_TOO_LARGE', () =>
      kit.fill(topic, [{ value: Buffer.alloc(5000) }], { retry: { retries: 1 } }))
    await kit.fill(topic, [{ value: Buffer.alloc(500) }])
    await kit.readAll(topic, 1)
  },
  async 'errors/topics'() {
    await refused('INVALID_TOPIC_EXCEPTION', () => kit.create('not a name!', 1))
    same(false, await kit.create(await kit.topic(1), 1), 'creating it again')
    await refused('INVALID_CONFIG', () => kit.create('config', 1, { 'no.such.key': '1' }))
    await refused('UNKNOWN_TOPIC_OR_PARTITION', () =>
      admin.fetchTopicMetadata({ topics: ['absent'] }))
  },
}

async function codec(name) {
  const topic = await kit.topic(1)
  await kit.fill(topic, values(300), { codec: CompressionTypes[name] })
  same(values(300).map((m) => m.value), text(await kit.readAll(topic, 300)), 'values')
}

async function acks(acks) {
  const topic = await kit.topic(2)
  await admin.fetchTopicOffsets(topic)
  await kit.fill(topic, values(100), { acks })
  await kit.readAll(topic, 100)
}

const groups = {
  async 'group/two-members'() {
    const topic = await kit.topic(4)
    const first = await kit.join('two-members', topic)
    await until('the first has all', () => first.assigned.length === 4)
    const second = await kit.join('two-members', topic)
    await until('both have two', () => first.assigned.length === 2 && second.assigned.length === 2)
    same([0, 1, 2, 3], [...first.assigned, ...second.assigned].sort(), 'partitions of both')
    await kit.fill(topic, Array.from({ length: 40 }, (_, i) => ({ partition: i % 4, value: 'v' })))
    await until('each reads its half',
      () => first.records.length === 20 && second.records.length === 20)
    await second.consumer.disconnect()
    await until('the first has all again', () => first.assigned.length === 4)
    await first.consumer.disconnect()
  },
  async 'group/commit-and-resume'() {
    const topic = await kit.topic(1)
    await kit.fill(topic, values(30))
    const member = await kit.join('resume', topic)
    await kit.read(member, 30)
    await member.consumer.commitOffsets([{ topic, partition: 0, offset: '10', metadata: 'a note' }])
    await member.consumer.disconnect()
    const [found] = await admin.fetchOffsets({ groupId: 'resume', topics: [topic] })
    same({ partition: 0, offset: '10', metadata: 'a note' }, { ...found.partitions[0] }, 'committed')
    const back = await kit.join('resume', topic)
    same('10', (await kit.read(back, 20))[0].offset, 'first offset after resuming')
    await back.consumer.disconnect()
  },
}

const adminChecks = {
  async 'describe-topic'() {
    const topic = await kit.topic(2)
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const { brokers } = await admin.describeCluster()
    const { partitions } = topics[0]
    same([0, 1], partitions.map((p) => p.partitionId).sort(), 'partitions')
    for (const { leader, replicas } of partitions) {
      same(replicas[0], leader, 'leader')
      same(brokers.map((b) => b.nodeId).sort(), [...replicas].sort(), 'replicas')
    }
    demand((await admin.listTopics()).includes(topic), 'not listed')
  },
  async 'topic-configs'() {
    const topic = await kit.topic(1, { 'retention.ms': '60000' })
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
    const configs = async () => {
      const { resources } = await admin.describeConfigs({ resources: [resource] })
      return Object.fromEntries(
        resources[0].configEntries.map((entry) => [entry.configName, entry.configValue]))
    }
    same('60000', (await configs())['retention.ms'], 'retention.ms')
    same('delete', (await configs())['cleanup.policy'], 'cleanup.policy')
    await admin.alterConfigs({
      resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '70000' }] }],
    })
    await until('the new value', async () => (await configs())['retention.ms'] === '70000')
  },
  async 'create-partitions'() {
    const topic = await kit.topic(1)
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
    await until('four partitions', async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0].partitions.length === 4
    })
  },
  async 'delete-records'() {
    const topic = await kit.topic(1)
    await kit.fill(topic, values(20))
    await admin.fetchTopicOffsets(topic) // or it does not know the leaders
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '12' }] })
    same('12', (await admin.fetchTopicOffsets(topic))[0].low, 'first offset')
    same('12', (await kit.readAll(topic, 8))[0].offset, 'first record')
  },
  async groups() {
    const topic = await kit.topic(1)
    const member = await kit.join('admin-group', topic)
    await until('it has it', () => member.assigned.length === 1)
    const describe = async () => (await admin.describeGroups(['admin-group'])).groups[0]
    same(['Stable', 1], [(await describe()).state, (await describe()).members.length], 'group')
    const listed = async () => (await admin.listGroups()).groups.map((group) => group.groupId)
    demand((await listed()).includes('admin-group'), 'not listed')
    await member.consumer.disconnect()
    await admin.setOffsets({ groupId: 'admin-group', topic, partitions: [{ partition: 0, offset: '5' }] })
    same('Empty', (await describe()).state, 'state without members')
    await admin.deleteGroups(['admin-group'])
    demand(!(await listed()).includes('admin-group'), 'listed after deletion')
  },
  async 'delete-topic'() {
    const topic = await kit.topic(1)
    await admin.deleteTopics({ topics: [topic] })
    await until('it is gone', async () => !(await admin.listTopics()).includes(topic))
  },
  async cluster() {
    const { brokers } = await admin.describeCluster()
    same(kit.BROKERS, brokers.map((b) => `${b.host}:${b.port}`).sort(), 'brokers')
  },
}

// What was acknowledged is there: exactly once with idempotence, at least once without.
async function restart(how, idempotent) {
  // A send that is repeated leaves out brokers that have answered it before, and with them what they
  // lead by then: with several brokers all of a send has to have the same leader.
  const topic = await kit.topic(kit.BROKERS.length > 1 ? 1 : 3)
  const producer = kit.kafka.producer(idempotent ? { idempotent, maxInFlightRequests: 1 } : {})
  await producer.connect()
  const acknowledged = []
  let stop = false
  const sending = (async () => {
    for (let i = 0; !stop; i++) {
      const messages = Array.from({ length: 10 }, (_, j) => ({ key: `${j}`, value: `v${i}-${j}` }))
      await producer.send({ topic, acks: -1, messages })
      acknowledged.push(...messages.map((message) => message.value))
    }
  })()
  const enough = (count) => Promise.race([
    until('more is acknowledged', () => acknowledged.length > count),
    sending, // throws when it fails
  ])
  await enough(300)
  await restartBroker(how)
  await enough(acknowledged.length + 300)
  stop = true
  await sending
  await producer.disconnect()
  const offsets = await admin.fetchTopicOffsets(topic)
  const found = text(await kit.readAll(topic, offsets.reduce((sum, o) => sum + Number(o.high), 0)))
  const lost = acknowledged.filter((value) => !new Set(found).has(value))
  same([], lost.slice(0, 10), 'acknowledged but not found')
  if (idempotent) same(new Set(found).size, found.length, 'records without duplicates')
}

async function groupSurvives() {
  const topic = await kit.topic(1)
  await kit.fill(topic, values(20))
  const member = await kit.join('survivor', topic)
  await kit.read(member, 20)
  await member.consumer.commitOffsets([{ topic, partition: 0, offset: '5' }])
  await restartBroker('kill')
  let found
  await until('the coordinator answers', async () => {
    try {
      [found] = await admin.fetchOffsets({ groupId: 'survivor', topics: [topic] })
      return true
    } catch (error) {
      demand(error.retriable || /COORDINATOR/.test(error.type), String(error.stack)) // loading
      return false
    }
  })
  same('5', found.partitions[0].offset, 'committed offset after the restart')
  await kit.fill(topic, [{ value: 'more' }])
  await until('it reads on', () => member.records.some((record) => record.offset === '20'))
  await member.consumer.disconnect()
}

async function main() {
  await kit.installCodecs()
  await admin.connect()
  for (const name of ['None', 'GZIP', 'Snappy', 'LZ4', 'ZSTD']) {
    await check(`codec/${name.toLowerCase()}`, () => codec(name))
  }
  for (const [name, value] of [['0', 0], ['1', 1], ['all', -1]]) {
    await check(`acks/${name}`, () => acks(value))
  }
  for (const [name, run] of Object.entries({ ...data, ...groups })) await check(name, run)
  for (const [name, run] of Object.entries(adminChecks)) await check(`admin/${name}`, run)
  await check('restart/kill-idempotent', () => restart('kill', true))
  await check('restart/stop', () => restart('stop', false))
  await check('restart/group-survives', groupSurvives)
  done()
}

main()
