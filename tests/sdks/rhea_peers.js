// rhea, an AMQP library that is neither ours nor Microsoft's: rhea_peers.js VERB JSON-ARGUMENTS; one JSON line per event.
//   read {port, key, entity, count}   a reader of the event endpoint, without TLS, with the policy's key
//   serve                             a server for amqp_talker: prints its port, and what came
'use strict';
const rhea = require('rhea');

const print = (what) => console.log(JSON.stringify(what));
const text = (body) => (body && body.content ? body.content.toString() : body);

const verbs = {
  read: ({ port, key, entity, count }) => {
    let seen = 0;
    const filter = { 'apache.org:selector-filter:string':
      rhea.types.wrap_described("amqp.annotation.x-opt-offset > '-1'", 0x468C00000004) };
    rhea.on('message', ({ message, receiver }) => {
      print({ event: 'event', partition: receiver.source.address, annotations: message.message_annotations, body: text(message.body),
        properties: message.application_properties, contentType: message.content_type });
      if (++seen === count) receiver.connection.close();
    });
    rhea.on('connection_close', () => print({ event: 'done' }));
    rhea.on('disconnected', ({ error }) => { print({ event: 'disconnected', error: String(error) }); process.exit(1); });
    const connection = rhea.connect({ host: 'localhost', port, username: 'iothubowner', password: key, reconnect: false });
    for (let n = 0; n < 4; n++)
      connection.open_receiver({ source: { address: `${entity}/ConsumerGroups/$Default/Partitions/${n}`, filter }, credit_window: 10 });
  },
  serve: () => {
    let got = 0;
    rhea.options.autoaccept = false;
    // Without it rhea's answers name no node.
    rhea.on('sender_open', ({ sender }) => { sender.set_source(sender.source); sender.set_target(sender.target); });
    rhea.on('receiver_open', ({ receiver }) => { receiver.set_source(receiver.source); receiver.set_target(receiver.target); });
    rhea.on('message', ({ message, delivery }) => {
      print({ event: 'message', id: message.message_id, body: text(message.body), size: (text(message.body) || '').length,
        properties: message.application_properties, annotations: message.message_annotations, to: message.to });
      // One after the other: rhea 3.0 says two neighbours of one turn with the outcome of the first.
      setTimeout([() => delivery.accept(), () => delivery.reject({ condition: 'rhea:no', description: 'not this one' }),
        () => delivery.release()][got % 3], 50 * got++);
    });
    rhea.once('sendable', ({ sender }) => {
      sender.send({ message_id: rhea.types.wrap_ulong(1), body: rhea.message.data_section(Buffer.from('first')),
        message_annotations: { 'x-opt-offset': '7' }, application_properties: { n: null, on: true } });
      sender.send({ message_id: 'second', body: 'a value' });
      sender.send({ message_id: 'third', body: { k: [1, 'two'] } });
      sender.send({ message_id: 'fourth', body: rhea.message.data_section(Buffer.alloc(70000, 'm')) });
    });
    // `modified` is told as released, too. It is the last; all of the talker's own are answered by then or soon after.
    for (const outcome of ['accepted', 'rejected', 'released', 'modified'])
      rhea.on(outcome, ({ sender }) => {
        print({ event: 'outcome', outcome });
        if (outcome === 'modified')
          setTimeout(() => sender.close({ condition: 'test:done', description: 'that was all' }), 300);
      });
    const server = rhea.listen({ port: 0, host: '127.0.0.1', max_frame_size: 4096 });
    rhea.sasl_server_mechanisms.enable_anonymous();
    server.on('listening', () => print({ event: 'listening', port: server.address().port }));
    rhea.on('connection_close', () => server.close(() => process.exit(0)));
  },
};

const [verb, words] = process.argv.slice(2);
verbs[verb](JSON.parse(words || '{}'));
