// Azure's unmodified device SDK for Node over AMQP: prints what comes as JSON lines, until its standard input ends.
// WEBSOCKET: over WebSocket.
// SETTLE=complete|reject|abandon says what becomes of cloud-to-device messages.
'use strict';
const { Client, Message } = require('azure-iot-device');
const { Amqp, AmqpWs } = require('azure-iot-device-amqp');

const print = (what) => console.log(JSON.stringify(what));
const client = Client.fromConnectionString(process.env.IOTHUB_DEVICE_CONNECTION_STRING, process.env.WEBSOCKET ? AmqpWs : Amqp);

async function main() {
  if (process.env.IOTHUB_CA) await client.setOptions({ ca: require('fs').readFileSync(process.env.IOTHUB_CA, 'utf8') });
  client.on('error', (error) => print({ event: 'error', message: String(error) }));
  client.on('disconnect', (error) => print({ event: 'disconnect', message: String(error && error.message) }));
  await client.open();
  const message = new Message(JSON.stringify({ temperature: 21.5 }));
  message.messageId = 'telemetry-1';
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('alert', 'no');
  await client.sendEvent(message);
  print({ event: 'sent' });
  client.on('message', async (received) => {
    const how = process.env.SETTLE || 'complete';
    print({ event: 'message', body: received.data.toString(), messageId: received.messageId, to: received.to, ack: received.ack,
      properties: received.properties.propertyList });
    await client[how](received);
    print({ event: 'settled', how });
  });
  client.onDeviceMethod('echo', (request, response) => {
    print({ event: 'method', payload: request.payload });
    response.send(200, { echoed: request.payload }, (error) => error && print({ event: 'error', message: String(error) }));
  });
  const twin = await client.getTwin();
  print({ event: 'twin', desired: twin.properties.desired, reported: Object.keys(twin.properties.reported) });
  twin.on('properties.desired', (patch) => print({ event: 'desired', patch }));
  await new Promise((resolve, reject) => twin.properties.reported.update({ firmware: '1.2' }, (error) => (error ? reject(error) : resolve())));
  print({ event: 'ready' });
}

process.stdin.resume();
process.stdin.on('end', () => client.close(() => { print({ event: 'done' }); process.exit(0); }));
main().catch((error) => { print({ event: 'error', name: error.name, message: error.message }); process.exit(1); });
