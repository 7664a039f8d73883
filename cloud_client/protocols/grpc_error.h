// gRPC's status, translated into ours: the one place on the client's way in.
//
// | gRPC code                             | kind             | retried | may be billed |
// | UNAVAILABLE, ABORTED                  | unavailable      | refused | once it left  |
// | CANCELLED, not by us                  | unavailable      | refused | once it left  |
// | CANCELLED by us                       | cancelled        | no      | once it left  |
// | DEADLINE_EXCEEDED                     | deadline         | no      | once it left  |
// | UNAUTHENTICATED, PERMISSION_DENIED    | auth             | no      | no            |
// | INVALID_ARGUMENT, FAILED_PRECONDITION | bad_request      | no      | no            |
// | OUT_OF_RANGE                          | context_too_long | no      | no            |
// | NOT_FOUND                             | not_found        | no      | no            |
// | RESOURCE_EXHAUSTED                    | rate_limited     | with push-back | no     |
// | UNIMPLEMENTED                         | protocol         | no      | no            |
// | DATA_LOSS, OK without an answer       | protocol         | no      | once it left  |
// | the others                            | internal         | no      | once it left  |
//
// Our own server refines the code by a trailer (kErrorKindTrailer), which also says that it refused
// before it began to work. Nothing is retried after the first event of an answer, nor where a first
// bill may already have been made: two bills would not fit one reservation. Nor is a call that
// found no connection: the channel connects again by itself, and near answers meanwhile. Held by
// tests/cloud_client/protocols/grpc_error_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_PROTOCOLS_GRPC_ERROR_H_
#define NEARFAR_CLOUD_CLIENT_PROTOCOLS_GRPC_ERROR_H_

#include <grpcpp/support/status.h>
#include <grpcpp/support/string_ref.h>

#include <map>
#include <string>

#include "cloud_client/stub/stub.h"

namespace nearfar {

using GrpcTrailers = std::multimap<grpc::string_ref, grpc::string_ref>;

// How far a call had come when it ended.
struct CallProgress {
  bool left = true;        // it may have reached the server
  bool delivered = false;  // a started or delta event was seen
  bool cancelled = false;  // by us
};

// Trailer of our own server with a CloudErrorKindName, where the code alone is too coarse.
inline constexpr char kErrorKindTrailer[] = "nearfar-error";
// gRPC's own trailer (gRFC A6): milliseconds to wait, or anything else for "never".
inline constexpr char kPushBackTrailer[] = "grpc-retry-pushback-ms";

// What the end alone tells about whether a call left; a protocol adds what it saw of its channel
// and of its write. False where gRPC 1.51 says that it could not resolve or connect, and where this
// side ended the call itself (cancel, deadline) and no server had spoken. `peer` is
// ClientContext::peer(): the target while no server has spoken (stub/channel.cc spells targets so
// that the two differ).
bool MayHaveLeft(const grpc::Status& status, const std::string& peer);

StubError TranslateGrpcError(const grpc::Status& status, const GrpcTrailers& trailers,
                             const CallProgress& progress);

// A server's answer that the protocol does not allow.
StubError ProtocolError(const std::string& what, const CallProgress& progress);

// A call that waited this long for a connection and was given up.
StubError NotConnected(absl::Duration waited);

// A message of the other side as valid UTF-8 of at most 300 bytes, without control characters.
std::string CleanMessage(const std::string& message);

absl::Status StatusOfGrpc(const grpc::Status& status);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_PROTOCOLS_GRPC_ERROR_H_
