// HTTP/1.1 messages as bytes, both ways.
#pragma once

#include <iothub/http/h1_parser.hpp>
#include <iothub/http/h1_writer.hpp>
