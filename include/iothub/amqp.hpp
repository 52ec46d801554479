// What goes over AMQP 1.0, with real transports, in one include: the event reader, the service messenger
// (cloud-to-device messages, feedback, file notifications), and the device client over AMQP. Apart from iothub.hpp, so
// that who needs none of it does not pay for it when compiling. Needs OpenSSL.
#pragma once

#include <iothub/device_client_amqp.hpp>
#include <iothub/event_reader.hpp>
#include <iothub/service_messenger.hpp>
