// The hub's AMQP face, whole: the connection (amqp_face_interface.hpp), the nodes behind its links, and the bodies that
// need both.
#pragma once

#include <iothub/hub/amqp_face_interface.hpp>
#include <iothub/hub/amqp_face_operations.hpp>
