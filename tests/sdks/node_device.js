// A device on Azure's unmodified Node SDK, over WebSocket when WEBSOCKET is set. Speaks the line protocol of run.py: one JSON object per line on stdout.
'use strict';
const fs = require('fs');
const { Client, Message } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');

const say = (object) => process.stdout.write(JSON.stringify(object) + '\n');
const rebootSeconds = Number(process.env.REBOOT_SECONDS || 20);
let interval = 1;

async function main() {
  const client = Client.fromConnectionString(process.env.IOTHUB_DEVICE_CONNECTION_STRING, process.env.WEBSOCKET ? MqttWs : Mqtt);
  await client.setOptions({ ca: fs.readFileSync(process.env.SSL_CERT_FILE, 'utf8') });
  await client.open();
  const twin = await client.getTwin();
  twin.on('properties.desired', (patch) => say({ event: 'desired', patch }));

  client.onDeviceMethod('SetTelemetryInterval', (request, response) => {
    const good = Number.isInteger(request.payload) && request.payload >= 1;
    if (good) interval = request.payload;
    say({ event: 'method', name: request.methodName, payload: request.payload });
    response.send(good ? 200 : 400, { Response: good ? 'Executed direct method SetTelemetryInterval' : 'Invalid parameter' });
  });
  client.onDeviceMethod('rebootDevice', (request, response) => {
    say({ event: 'method', name: request.methodName, payload: request.payload });
    setTimeout(() => {
      twin.properties.reported.update({ rebootTime: new Date().toISOString() }, (error) => {
        say({ event: 'reported', error: error ? String(error) : null });
        response.send(200, { Response: 'This is the response from the device' });
      });
    }, rebootSeconds * 1000);
  });
  client.onDeviceMethod('noAnswer', () => say({ event: 'method', name: 'noAnswer' }));
  client.on('message', (message) => {
    say({ event: 'c2d', body: message.getData().toString(), id: message.messageId });
    client.complete(message);
  });
  say({ event: 'ready' });

  const tick = () => {
    const temperature = 20 + Math.random() * 15;
    const message = new Message(JSON.stringify({ temperature, humidity: 60 + Math.random() * 20 }));
    message.properties.add('temperatureAlert', temperature > 30 ? 'true' : 'false');
    client.sendEvent(message, (error) => say({ event: 'sent', error: error ? String(error) : null }));
    setTimeout(tick, interval * 1000);
  };
  tick();
}
process.on('SIGTERM', () => process.exit(0));
main().catch((error) => { say({ event: 'failed', error: String(error) }); process.exit(1); });
