// The JSON value with all that is usually wanted of it: the tree, parse() and dump().
#pragma once

#include <iothub/json/dom.hpp>
#include <iothub/json/parse.hpp>
#include <iothub/json/print.hpp>
