// Azure's unmodified service SDK for Node over AMQP: amqp_service.js VERB JSON-ARGUMENTS; one JSON line per event.
// Over WebSocket when WEBSOCKET is set.
//   send {id, body, messageId, ack, properties, expiresIn}   a cloud-to-device message
//   fill {id, count}                                         that many, and the error that ends it
//   feedback {count}                                         waits for that many records, and completes them
//   files {count}                                            waits for that many file notifications, and completes them
'use strict';
const { Client, AmqpWs } = require('azure-iothub');
const { Message } = require('azure-iot-common');

const print = (what) => console.log(JSON.stringify(what));
const connection = process.env.IOTHUB_SERVICE_CONNECTION_STRING;

function made({ body, messageId, ack, properties, expiresIn }) {
  const message = new Message(body || '');
  if (messageId) message.messageId = messageId;
  if (ack) message.ack = ack;
  if (expiresIn) message.expiryTimeUtc = Date.now() + expiresIn;
  for (const [name, value] of Object.entries(properties || {})) message.properties.add(name, value);
  return message;
}

async function receive(opening, count, shown) {
  const opened = await opening;
  const receiver = opened.result || opened;
  let seen = 0;
  await new Promise((resolve, reject) => {
    receiver.on('errorReceived', reject);
    receiver.on('message', async (message) => {
      const found = shown(message);
      await receiver.complete(message);
      seen += found;
      if (seen >= count) resolve();
    });
    print({ event: 'listening' });
  });
}

const verbs = {
  send: async (what, client) => { await client.send(what.id, made(what)); print({ event: 'sent' }); },
  fill: async ({ id, count }, client) => {
    for (let i = 0; i < count; i++) await client.send(id, made({ body: `m${i}`, messageId: `m${i}` }));
    print({ event: 'sent' });
  },
  feedback: ({ count }, client) => receive(client.getFeedbackReceiver(), count, (message) => {
    const records = JSON.parse(message.data.toString());
    print({ event: 'feedback', records, contentType: message.contentType });
    return records.length;
  }),
  files: ({ count }, client) => receive(client.getFileNotificationReceiver(), count, (message) => {
    print({ event: 'file', file: JSON.parse(message.data.toString()), contentType: message.contentType });
    return 1;
  }),
};

const [verb, text] = process.argv.slice(2);
(async () => {
  const client = process.env.WEBSOCKET ? Client.fromConnectionString(connection, AmqpWs) : Client.fromConnectionString(connection);
  await client.open();
  await verbs[verb](JSON.parse(text || '{}'), client);
  await client.close();
})()
  .then(() => { print({ event: 'done' }); process.exit(0); })
  .catch((error) => {
    print({ event: 'error', name: error.name, message: error.message, condition: error.amqpError && error.amqpError.condition,
      cause: error.amqpError && error.amqpError.name });
    process.exit(1);
  });
