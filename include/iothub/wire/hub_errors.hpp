// The hub's errors as its clients read them: six-digit codes, their names, the library's errc, and the bodies of HTTP
// answers. status_map.hpp writes them.
//
// Codes and names: Microsoft docs troubleshoot-error-codes and the ErrorCode enumeration of the service REST reference.
// The HTTP status is the first three digits. Two body forms are in use, and a third on a device's twin topics:
//   registry and twins  {"Message":"ErrorCode:{Name};{text}","ExceptionMessage":"Tracking ID:{id}-TimeStamp:{time}"}
//   direct methods      {"Message":"{\"errorCode\":404103,\"trackingId\":…,\"message\":…,…}","ExceptionMessage":""}
//   on a device's topic {"errorCode":400004,"trackingId":…,"message":…,"timestampUtc":…}
// The header iothub-errorcode repeats the name; azure-iot-sdk-csharp reports nothing useful when the two disagree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/error.hpp>
#include <iothub/http/message.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {

// "DeviceNotFound" for 404001; empty for a code that is not known.
[[nodiscard]] inline std::string_view hub_code_name(int code) noexcept;
// 404001 for "DeviceNotFound"; 0 for a name that is not known.
[[nodiscard]] inline int hub_code_of(std::string_view name) noexcept;

// What a caller branches on; unknown codes go by their first three digits.
[[nodiscard]] inline errc errc_of_hub_code(int code) noexcept;
[[nodiscard]] inline errc errc_of_http_status(int status) noexcept;

// The error behind an answer that is no success. Reads every form and falls back to the status alone; the message is
// the hub's. `errorcode` is the header iothub-errorcode, empty where there is none.
[[nodiscard]] inline error read_error_body(int status, std::string_view body, std::string_view errorcode = {});
[[nodiscard]] inline error read_error_response(http::response const& response) {
  return read_error_body(response.status, response.body, response.headers.get("iothub-errorcode"));
}

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

struct hub_code_row {
  int code;
  std::string_view name;
};
inline constexpr hub_code_row hub_codes[] = {
    {400000, "GenericBadRequest"},
    {400001, "InvalidProtocolVersion"},
    {400002, "DeviceInvalidResultCount"},
    {400003, "InvalidOperation"},
    {400004, "ArgumentInvalid"},
    {400005, "ArgumentNull"},
    {400006, "IotHubFormatError"},
    {400011, "DeviceDefinedMultipleTimes"},
    {400012, "DeserializationError"},
    {400013, "BulkRegistryOperationFailure"},
    {400014, "DefaultStorageEndpointNotConfigured"},
    {400015, "InvalidFileUploadCorrelationId"},
    {400016, "ExpiredFileUploadCorrelationId"},
    {400017, "InvalidStorageEndpoint"},
    {400018, "InvalidMessagingEndpoint"},
    {400019, "InvalidFileUploadCompletionStatus"},
    {400020, "InvalidStorageEndpointOrBlob"},
    {400021, "RequestCanceled"},
    {400022, "InvalidStorageEndpointProperty"},
    {400023, "EtagDoesNotMatch"},
    {400024, "RequestTimedOut"},
    {400025, "UnsupportedOperationOnReplica"},
    {400026, "NullMessage"},
    {400027, "ConnectionForcefullyClosedOnNewConnection"},
    {400028, "InvalidDeviceScope"},
    {400029, "ConnectionForcefullyClosedOnFaultInjection"},
    {400030, "ConnectionRejectedOnFaultInjection"},
    {401000, "GenericUnauthorized"},
    {401001, "IotHubNotFound"},
    {401002, "IotHubUnauthorizedAccess"},
    {401003, "IotHubUnauthorized"},
    {401100, "SystemModuleModifyUnauthorizedAccess"},
    {403000, "GenericForbidden"},
    {403001, "IotHubSuspended"},
    {403002, "IotHubQuotaExceeded"},
    {403003, "JobQuotaExceeded"},
    {403004, "DeviceMaximumQueueDepthExceeded"},
    {403005, "IotHubMaxCbsTokenExceeded"},
    {403006, "DeviceMaximumActiveFileUploadLimitExceeded"},
    {403007, "DeviceMaximumQueueSizeExceeded"},
    {403008, "RoutingEndpointResponseForbidden"},
    {403009, "InvalidMessageExpiryTime"},
    {403010, "OperationNotAvailableInCurrentTier"},
    {403011, "KeyEncryptionKeyRevoked"},
    {403012, "DeviceDisabled"},
    {403800, "DeviceMaximumInflightMethodExceeded"},
    {404000, "GenericNotFound"},
    {404001, "DeviceNotFound"},
    {404002, "JobNotFound"},
    {404010, "ModuleNotFound"},
    {404012, "IotHubFailingOver"},
    {404013, "FeatureNotSupported"},
    {404103, "DeviceNotOnline"},
    {404104, "DeviceConnectionClosedRemotely"},
    {404301, "ConfigurationNotFound"},
    {404302, "GroupNotFound"},
    {405000, "GenericMethodNotAllowed"},
    {409000, "GenericConflict"},
    {409001, "DeviceAlreadyExists"},
    {409002, "LinkCreationConflict"},
    {409003, "CallbackSubscriptionConflict"},
    {409102, "DeviceLocked"},
    {409103, "DeviceJobAlreadyExists"},
    {409104, "JobAlreadyExists"},
    {409301, "ModuleAlreadyExistsOnDevice"},
    {409401, "ConfigurationAlreadyExists"},
    {412000, "GenericPreconditionFailed"},
    {412001, "PreconditionFailed"},
    {412002, "DeviceMessageLockLost"},
    {412003, "JobRunPreconditionFailed"},
    {412004, "InflightMessagesInLink"},
    {413000, "GenericRequestEntityTooLarge"},
    {413001, "MessageTooLarge"},
    {413002, "TooManyDevices"},
    {413003, "TooManyModulesOnDevice"},
    {413101, "ConfigurationCountLimitExceeded"},
    {415000, "GenericUnsupportedMediaType"},
    {429000, "GenericTooManyRequests"},
    {429001, "ThrottlingException"},
    {429002, "ThrottleBacklogLimitExceeded"},
    {429003, "ThrottlingBacklogTimeout"},
    {429004, "ThrottlingMaxActiveJobCountExceeded"},
    {429005, "DeviceThrottlingLimitExceeded"},
    {499000, "ClientClosedRequest"},
    {500000, "GenericServerError"},
    {500001, "ServerError"},
    {500002, "JobCancelled"},
    {500008, "GenericTimeout"},
    {500009, "InvalidThrottleParameter"},
    {502000, "GenericBadGateway"},
    {503000, "GenericServiceUnavailable"},
    {503001, "ServiceUnavailable"},
    {503003, "PartitionNotFound"},
    {503004, "IotHubActivationFailed"},
    {503005, "ServerBusy"},
    {503006, "IotHubRestoring"},
    {503008, "ReceiveLinkOpensThrottled"},
    {503101, "ConnectionUnavailable"},
    {503102, "DeviceUnavailable"},
    {504000, "GenericGatewayTimeout"},
    {504101, "GatewayTimeout"},
};

}  // namespace detail

inline std::string_view hub_code_name(int code) noexcept {
  for (auto const& row : detail::hub_codes)
    if (row.code == code) return row.name;
  return {};
}
inline int hub_code_of(std::string_view name) noexcept {
  for (auto const& row : detail::hub_codes)
    if (row.name == name) return row.code;
  return 0;
}
inline errc errc_of_http_status(int status) noexcept {
  switch (status) {
    case 401: return errc::unauthorized;
    case 403: return errc::forbidden;
    case 404: return errc::not_found;
    case 405: return errc::unsupported;
    case 408: return errc::timeout;
    case 409: return errc::already_exists;
    case 412: return errc::precondition_failed;
    case 413: return errc::too_large;
    case 429: return errc::throttled;
    case 502: return errc::bad_device_response;
    case 503: return errc::service_unavailable;
    case 504: return errc::device_timeout;
    default: break;
  }
  if (status >= 400 && status < 500) return errc::bad_request;
  if (status >= 500 && status < 600) return errc::server_error;
  return errc::protocol_error;
}

inline errc errc_of_hub_code(int code) noexcept {
  switch (code) {
    case 400023: return errc::precondition_failed;
    case 400024: return errc::timeout;
    case 403002: return errc::quota_exceeded;
    case 403004:
    case 403007: return errc::queue_full;
    case 403012: return errc::device_disabled;
    case 404001: return errc::device_not_found;
    case 404002: return errc::job_not_found;
    case 404010: return errc::module_not_found;
    // One table of the documentation prints 404102 for the same.
    case 404102:
    case 404103:
    case 404104: return errc::device_offline;
    case 412002: return errc::lock_lost;
    default: return errc_of_http_status(code / 1000);
  }
}

namespace detail {

struct read_error {
  int code = 0;
  std::string message = {};
  std::string tracking_id = {};
};

inline int error_code_of(json::value const& code) noexcept {
  if (auto const number = code.as_int(); number && *number > 0 && *number < 1'000'000) return static_cast<int>(*number);
  auto const text = code.as_string();
  if (!text) return 0;
  auto const digits = parse_int<int>(*text);
  return digits ? *digits : hub_code_of(*text);
}

inline void read_error_object(json::value const& body, read_error& into) {
  into.code = error_code_of(body["errorCode"]);
  into.message = std::string{body["message"].as_string().value_or("")};
  into.tracking_id = std::string{body["trackingId"].as_string().value_or("")};
}

// "ErrorCode:{Name};{text}", or any other sentence.
inline void read_error_text(std::string_view text, std::string_view exception, read_error& into) {
  into.message = text;
  if (text.starts_with("ErrorCode:")) {
    split_pair const cut = split_once(text.substr(10), ';');
    into.code = hub_code_of(trim(cut.before));
    if (cut.found) into.message = cut.after;
  }
  constexpr std::string_view mark = "Tracking ID:";
  if (exception.starts_with(mark)) into.tracking_id = exception.substr(mark.size());
}

}  // namespace detail

inline error read_error_body(int status, std::string_view body, std::string_view errorcode) {
  detail::read_error read;
  auto const document = json::parse(body, {.max_depth = 16, .max_size = 256 * 1024});
  if (document && document->find("errorCode") != nullptr) {
    detail::read_error_object(*document, read);
  } else if (document) {
    std::string_view const text = (*document)["Message"].as_string().value_or("");
    auto const inner = text.starts_with('{') ? json::parse(text, {.max_depth = 16, .max_size = 256 * 1024})
                                             : result<json::value>{errc::malformed};
    if (inner && inner->is_object())
      detail::read_error_object(*inner, read);
    else
      detail::read_error_text(text, (*document)["ExceptionMessage"].as_string().value_or(""), read);
  }
  if (read.code == 0) read.code = hub_code_of(errorcode);
  if (read.message.empty()) {
    std::string_view const name = read.code != 0 ? hub_code_name(read.code) : std::string_view{};
    read.message = "the hub answered with status " + std::to_string(status);
    if (!name.empty()) read.message.append(", ").append(name);
  }
  error made{read.code != 0 ? errc_of_hub_code(read.code) : errc_of_http_status(status), std::move(read.message)};
  made.with_http(status, read.code, std::move(read.tracking_id));
  return made;
}

}  // namespace v0
}  // namespace iothub
