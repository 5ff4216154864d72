/*
 * The configuration of icetund: one file in the form of systemd and wg-quick, read once into one
 * structure that nobody changes afterwards. Membership is not configuration: it comes from
 * `ictl join` and lives in the state directory (config/state.h).
 *
 *	[Ice]
 *	Port=40000
 *	AllowInterfaces=eth0 wlan*
 *
 *	[Server]
 *	Uri=turn:relay.example.org
 *	User=alice
 *	Password=...
 *
 * Every key has a default, so an empty file is a valid one; packaging/examples/icetund.conf shows
 * all of them. Lists are separated by spaces or commas. An empty value brings the default back. A
 * key that is not known, stands in the wrong section, or stands twice is an error that names file,
 * line and key and says what is allowed: a typing error never passes for a default. Section
 * [Server] may stand several times, once for each STUN or TURN server; its key Uri comes first and
 * begins it.
 *
 * A configuration may hold passwords: wipe it after use (secret_wipe()); they stand in no message.
 */
#ifndef ICETUN_CONFIG_CONFIG_H
#define ICETUN_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/base/err.h"
#include "daemon/core/turn/uri.h"
#include "daemon/log/log.h"

#define CONFIG_DEFAULT_FILE   "/etc/icetun/icetund.conf"
#define CONFIG_DEFAULT_SOCKET "/run/icetun/control.sock"

#define CONFIG_PATH_BYTES      256
#define CONFIG_SOCKET_BYTES    108 /* sun_path */
#define CONFIG_USER_BYTES      33
#define CONFIG_INTERFACE_BYTES 16 /* IFNAMSIZ */
#define CONFIG_ENDPOINT_BYTES  160
#define CONFIG_PATTERN_BYTES   32
#define CONFIG_MAX_PATTERNS    16
#define CONFIG_MAX_SERVERS     8
#define CONFIG_SECRET_BYTES    129 /* user names and passwords of servers */
#define CONFIG_ERROR_BYTES     512
#define CONFIG_FILE_MAX_BYTES  65536

/* Names of devices, or patterns of them as of the shell: *, ?, [a-z0-9], [!x]. */
struct config_patterns {
	char text[CONFIG_MAX_PATTERNS][CONFIG_PATTERN_BYTES];
	size_t count;
};

/* [Server] */
struct config_server {
	struct turn_uri uri;
	char user[CONFIG_SECRET_BYTES]; /* "" for STUN */
	char password[CONFIG_SECRET_BYTES];
};

/* Which addresses are offered to peers. */
enum config_candidates {
	CONFIG_CANDIDATES_ALL,
	CONFIG_CANDIDATES_NO_HOST, /* none of a local device: what servers see, and relays */
	CONFIG_CANDIDATES_RELAY,   /* relays alone: peers learn no address of this host */
};

/* What of the kernel's help for packets may be used. */
struct config_offloads {
	bool tun_tcp, tun_udp;	/* superpackets from and to the device */
	bool udp_segment;	/* trains to the network */
	bool udp_gro;		/* trains from the network */
	bool partial_checksums; /* inner checksums that nobody computes */
	bool tun_queues;	/* one queue of the device for each worker; else one of each */
};

struct config {
	/* [Daemon] */
	char state_directory[CONFIG_PATH_BYTES];
	char control_socket[CONFIG_SOCKET_BYTES];
	char control_group[CONFIG_USER_BYTES]; /* a group that does not exist: root's */
	char user[CONFIG_USER_BYTES];	       /* "" = stay */
	char signal_helper[CONFIG_PATH_BYTES]; /* program; default: where it was installed */
	enum log_level log_level;

	/* [Interface] */
	char interface_name[CONFIG_INTERFACE_BYTES];
	uint32_t mtu_bytes;

	/* [Data] */
	uint32_t workers; /* 0 = one for each processor, at most 4 */
	struct config_offloads offloads;

	/* [Ice] */
	uint16_t port;		      /* 0 = a random one, kept in the state directory */
	struct config_patterns allow; /* none = every interface that is not denied */
	struct config_patterns deny;
	char stun_servers[CONFIG_MAX_SERVERS][CONFIG_ENDPOINT_BYTES]; /* "host[:port]" */
	size_t stun_server_count; /* 0 = what the rendezvous server hands out */
	uint16_t ta_ms;
	enum config_candidates candidates;
	char ca_file[CONFIG_PATH_BYTES]; /* of TURN servers over TLS; "" = the system's */

	/* [Server]. Of each kind, STUN and TURN: none = what the rendezvous server hands out. */
	struct config_server servers[CONFIG_MAX_SERVERS];
	size_t server_count;

	/* [Rendezvous] */
	char rendezvous_endpoint[CONFIG_ENDPOINT_BYTES]; /* "tcp://host:port"; "" = the token's */
};

/* Every key at its default. */
void config_init(struct config *ret);

/*
 * Parses @len bytes of @text. @file: the name that errors show.
 * Return: OK; ERR_INVALID with a message for people in @error ("file:3: Port=x: ..."), and then
 * @ret is untouched.
 */
MUST_USE enum err config_parse(const char *file, const char *text, size_t len, struct config *ret,
			       char error[static CONFIG_ERROR_BYTES]);

/*
 * Reads @file; NULL means CONFIG_DEFAULT_FILE, which may be missing.
 * Return: OK; ERR_INVALID (contents), ERR_NOT_FOUND, ERR_PERMISSION, ERR_LIMIT (larger than
 * CONFIG_FILE_MAX_BYTES) or ERR_IO, each with a message in @error; then @ret is untouched.
 */
MUST_USE enum err config_load(const char *file, struct config *ret,
			      char error[static CONFIG_ERROR_BYTES]);

/* Key number @index in the order of the documentation, from 0, and its section ("Daemon").
 * Return: its name, or NULL behind the last one; then *ret_section is untouched. */
const char *config_key_at(size_t index, const char **ret_section);

#endif
