#include "daemon/control/status.h"

#include <string.h>

/* One lookup function for each of the tables in the header. */
#define NAMES(function, type, table, prefix, count)                                                \
	const char *function(enum type v)                                                          \
	{                                                                                          \
		static const char *const names[count] = {table(prefix)};                           \
                                                                                                   \
		return (unsigned int)v < (count) ? names[v] : "unknown";                           \
	}

#define STATE(code, name)     [CONTROL_STATE_##code] = name,
#define SERVER(code, name)    [CONTROL_SERVER_##code] = name,
#define HELPER(code, name)    [CONTROL_HELPER_##code] = name,
#define PEER(code, name)      [CONTROL_PEER_##code] = name,
#define EVENT(code, name)     [CONTROL_EVENT_##code] = name,
#define CANDIDATE(code, name) [CONTROL_CANDIDATE_##code] = name,
#define PATH(code, name)      [CONTROL_PATH_##code] = name,
#define CIPHER(code, name)    [CONTROL_CIPHER_##code] = name,
#define OFFLOAD(code, name)   [CONTROL_OFFLOAD_##code] = name,

NAMES(control_state_name, control_state, CONTROL_STATE_TABLE, STATE, CONTROL_STATE_COUNT)
NAMES(control_server_state_name, control_server_state, CONTROL_SERVER_STATE_TABLE, SERVER,
      CONTROL_SERVER_STATE_COUNT)
NAMES(control_helper_state_name, control_helper_state, CONTROL_HELPER_STATE_TABLE, HELPER,
      CONTROL_HELPER_STATE_COUNT)
NAMES(control_peer_state_name, control_peer_state, CONTROL_PEER_STATE_TABLE, PEER,
      CONTROL_PEER_STATE_COUNT)
NAMES(control_event_kind_name, control_event_kind, CONTROL_EVENT_KIND_TABLE, EVENT,
      CONTROL_EVENT_KIND_COUNT)
NAMES(control_candidate_type_name, control_candidate_type, CONTROL_CANDIDATE_TYPE_TABLE, CANDIDATE,
      CONTROL_CANDIDATE_TYPE_COUNT)
NAMES(control_path_kind_name, control_path_kind, CONTROL_PATH_KIND_TABLE, PATH,
      CONTROL_PATH_KIND_COUNT)
NAMES(control_cipher_name, control_cipher, CONTROL_CIPHER_TABLE, CIPHER, CONTROL_CIPHER_COUNT)
NAMES(control_offload_name, control_offload, CONTROL_OFFLOAD_TABLE, OFFLOAD, CONTROL_OFFLOAD_COUNT)

void control_status_init(struct control_status *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->certificate_left_s = CONTROL_NEVER;
	ret->rendezvous.last_error_ms = CONTROL_NEVER;
	ret->rendezvous.retry_ms = CONTROL_NEVER;
	for (size_t i = 0; i < CONTROL_MAX_SERVERS; i++) {
		ret->stun[i].last_error_ms = CONTROL_NEVER;
		ret->stun[i].retry_ms = CONTROL_NEVER;
		ret->turn[i].last_error_ms = CONTROL_NEVER;
		ret->turn[i].retry_ms = CONTROL_NEVER;
	}
}

void control_peer_init(struct control_peer *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->last_received_ms = CONTROL_NEVER;
	ret->restart_ms = CONTROL_NEVER;
	ret->last_error_ms = CONTROL_NEVER;
}
