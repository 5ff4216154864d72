/*
 * Private to the room: the objects that its files share, and which file owns what.
 */
#ifndef ICETUN_APP_INTERNAL_H
#define ICETUN_APP_INTERNAL_H

#include "daemon/app/app.h"
#include "daemon/control/server.h"
#include "daemon/core/peer/overlay.h"
#include "daemon/data/plane.h"
#include "daemon/net/alarm.h"
#include "daemon/net/watcher.h"
#include "daemon/signaling/client.h"
#include "tun/device.h"
#include "tun/netcfg.h"

#define APP_MAX_SOCKETS	  16
#define APP_MAX_PEERS	  10000
#define APP_QUEUE_PACKETS 1024
#define APP_MAX_PINGS	  32
#define APP_MAX_SERVERS	  32
#define APP_MAX_STREAMS	  32
/* Each may have a TCP target as well. */
#define APP_MAX_SERVER_ADDRS (OVERLAY_MAX_RELAY_TARGETS / 2)
#define APP_DETAIL_BYTES     512
/* Where packets come in that came through a relay; not DATA_NO_SOCKET, since that is a path. */
#define APP_RELAY_SOCKET (DATA_NO_SOCKET - 1)
/* A reply that takes longer is lost. */
#define APP_PING_TIMEOUT_US (5 * US_PER_S)

struct app_stream;
struct join;
struct lookup;
struct net_tls;
struct run;

struct app {
	uv_loop_t *loop;
	const struct config *config;
	struct state *state;
	struct control_server *control;
	struct run *run;				    /* NULL while down */
	struct join *join;				    /* NULL unless a join is under way */
	struct control_call *ups[CONTROL_MAX_CLIENTS];	    /* `ictl up` that wait */
	struct control_call *watchers[CONTROL_MAX_CLIENTS]; /* of events */
	bool stopping;
	struct config_offloads
		offloads;     /* wanted: of the configuration, until ictl says otherwise */
	enum problem problem; /* why the last start failed, PROBLEM_NONE otherwise */
	char problem_detail[APP_DETAIL_BYTES];
	uint64_t since_us; /* of the present state */
};

/* One local address in use. */
struct app_socket {
	bool in_use;
	uint16_t number;
	size_t fd_count;	   /* one for each worker of the data plane, or 1 */
	int fds[DATA_MAX_WORKERS]; /* the first is control's, too */
	struct netaddr base;
	int ifindex, bound_ifindex; /* bound: IPv6 alone, net_udp_set_device(); 0 = it is not */
	struct netaddr gateway;
	bool is_second, has_default; /* see struct net_interface_addr */
	uint16_t local_preference;
	bool is_spare; /* for allocations only, beside another one at this address */
};

/* One `ictl ping`. */
struct app_ping {
	struct run *run;
	struct control_call *call; /* NULL = slot is free */
	uint32_t peer;
	struct netaddr address; /* that was asked for; family NETADDR_NONE: a name was */
	uint32_t left;		/* requests to send */
	uint32_t interval_ms;
	uint32_t seq; /* of the newest request */
	bool waiting; /* for the answer to it */
	uint64_t id;
	uint64_t sent_us;
	uint64_t next_us;    /* next request, or when the present one is lost */
	uint64_t give_up_us; /* connecting has taken too long */
};

/* A STUN or TURN server, or a name that stands for several: they are servers of their own then. */
struct app_server {
	bool in_use, is_listed;
	uint32_t id;
	uint32_t origin; /* the server whose SRV records name it, or 0 */
	size_t rank;	 /* among those without an origin */
	size_t order;	 /* in the list, best first; none while others stand for it */
	struct turn_uri uri;
	char text[TURN_URI_TEXT_BYTES]; /* the same */
	/* For its certificate: the host that was asked for, wherever SRV records lead (RFC 8489 s.
	 * 6.2.3). */
	char tls_name[TURN_URI_HOST_BYTES];
	char username[CONFIG_SECRET_BYTES], password[CONFIG_SECRET_BYTES];
	uint64_t expires_us;
	struct netaddr addrs[APP_MAX_SERVER_ADDRS]; /* of its name */
	size_t addr_count;
	struct turn_uri *found; /* of its SRV records, TURN_SRV_SERVERS_MAX; or NULL */
	size_t found_count;
	struct lookup *lookup;
	uint64_t lookup_us, lookup_delay_us; /* the next one */
	bool is_name_error;		     /* no name, no address */
	char error[CONTROL_TEXT_BYTES];	     /* a sentence: of its name, of a stream to it */
	uint64_t error_us;
	uint64_t since_us;
};

/* What exists while the overlay is up. */
struct run {
	struct app *app;
	struct overlay *overlay;
	struct tun_netcfg *netcfg;
	struct tun_device *tun;
	bool has_ip6; /* the TUN device takes IPv6 */
	struct data_plane *data;
	unsigned int workers; /* of it; the switch of its queues may be turned meanwhile */
	struct signal_client *signal;
	struct net_watcher *watcher;
	struct net_interface_filter filter;
	struct netprefix networks[CERT_MAX_NETWORKS];		/* of the filter */
	struct net_route signal_ways[SIGNAL_ENDPOINTS_MAX + 2]; /* that the helper may go */
	struct app_socket sockets[APP_MAX_SOCKETS];
	uint16_t next_socket;
	uint16_t port;		 /* common to all sockets */
	struct net_alarm *alarm; /* the overlay's next deadline */
	uv_timer_t tick;	 /* once a second: liveness, counters */
	uv_timer_t ping_timer;
	uv_poll_t data_poll;
	unsigned int open_handles;
	bool stopping;
	struct app_server *servers; /* APP_MAX_SERVERS, secret memory */
	size_t server_count;	    /* in the list */
	size_t origin_count;	    /* that the list is made of */
	uint32_t next_server;
	struct app_stream *streams[APP_MAX_STREAMS];
	struct net_tls *tls; /* NULL until it is needed */
	enum signal_link_state link;
	enum signal_link_reason link_reason;
	char link_detail[SIGNAL_DETAIL_BYTES];
	uint64_t link_since_us, link_error_us;
	enum signal_error refused; /* 0 = not refused */
	bool was_registered;
	bool stamps_changed; /* since they were saved */
	uint64_t started_us;
	bool routes_changed;	/* since the data plane had them */
	uint64_t moved_packets; /* until the last tick */
	uint64_t rest_us;	/* when keys were given back */
	unsigned int quiet_s;	/* since one moved, or since the start */
	struct app_ping pings[APP_MAX_PINGS];
	uint64_t heard_us[APP_MAX_PEERS]; /* last_rx_us that the overlay was told */
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES > 65536 ? SIGNAL_MESSAGE_MAX_BYTES : 65536];
};

/* app.c */
uint64_t app_now_us(void);
uint64_t app_unix_us(void);
void app_save_run(struct app *a);
/* Tells every `ictl up` that waits; the last word ends it. */
void app_up_progress(struct app *a, enum control_state state, const char *text, bool last);
void app_up_failed(struct app *a, enum problem problem, const char *detail);
enum control_state app_state(const struct app *a);

/* events.c */
void events_begin(struct app *a, struct control_call *call);
void events_cancel(struct app *a, const struct control_call *call);
/* Tells everybody who watches. */
void events_on_overlay(struct run *r, const struct overlay_event *e);
void events_tell(struct app *a, enum control_event_kind kind, const char *text);
/* Restarts the session with @peer, a name or an overlay address. */
void events_restart(struct run *r, struct control_call *call, const char *peer);

/* run.c */
/* Makes everything. Return: PROBLEM_NONE or what is wrong, with @detail (APP_DETAIL_BYTES). */
enum problem run_start(struct app *a, char *detail);
/* Takes everything down; the memory goes when its handles are closed. */
void run_stop(struct run *r);
/* Carries out what the overlay wants; after each input to it. */
void run_pump(struct run *r);

/* device.c */
/* How many workers the data plane is to have now. */
unsigned int device_workers(const struct app *a);
/* No overlay address may already mean something else here. */
enum problem device_check_overlap(struct run *r, char *detail);
/* Makes the TUN device. */
enum problem device_open(struct run *r, char *detail);
/* Gives it addresses and routes and takes it up. Where it cannot have IPv6, since the MTU is below
 * 1280 or IPv6 off on this host, it goes on without, and says so in the log. */
enum problem device_configure(struct run *r, char *detail);
/* Starts the data plane on it. */
enum problem device_start_data(struct run *r, char *detail);
/* Takes over what has changed in struct app's. */
void device_set_offloads(struct run *r);

/* network.c */
/* Opens the first sockets, and watches from then on. */
void network_start(struct run *r);
/* Something could not be sent: perhaps an address has gone. */
void network_doubt(struct run *r);

/* sockets.c */
/* Opens sockets for addresses that are new, closes those of addresses that have gone, and tells the
 * overlay what has become of the others. Return: whether anything has changed. */
bool sockets_update(struct run *r, const struct net_snapshot *now);
/* The default route has changed: those whose packets it takes to another device are told to keep to
 * their own, before sockets_update() comes. */
void sockets_keep_device(struct run *r);
void sockets_close(struct run *r);
/* One more at the address of socket @number, for allocations. */
void sockets_open_spare(struct run *r, uint16_t number);
/* Return: the device that has the address of socket @number when packets from there to @to leave by
 * it, else 0: a more specific route over another one is obeyed. */
int sockets_device_to(const struct run *r, uint16_t number, const struct netaddr *to);
void sockets_send(struct run *r, const struct ice_transmit *t, const uint8_t *buf);

/* servers.c */
MUST_USE enum err servers_create(struct run *r);
void servers_destroy(struct run *r);
/* Takes the list of the configuration and of the last registration. */
void servers_update(struct run *r);
/* Makes the list again: the SRV records of one are known. */
void servers_arrange(struct run *r);
/* Hands to the overlay what is known of them. */
void servers_apply(struct run *r);
/* Once a second. */
void servers_on_tick(struct run *r);
/* The host's addresses have changed. */
void servers_on_network(struct run *r);
void servers_on_event(struct run *r, const struct overlay_event *e);
/* Something went wrong outside of the protocol. */
void servers_fail(struct app_server *s, const char *format, ...) PRINTF_LIKE(2, 3);
/* Return: NULL when there is none. */
struct app_server *servers_find(struct run *r, uint32_t id);
/* Server @i of the list, below server_count. */
struct app_server *servers_at(const struct run *r, size_t i);

/* resolve.c */
/* Looks @s up, if that is not under way: SRV records first, where there may be some, then
 * addresses. servers_apply() follows. */
void resolve_begin(struct run *r, struct app_server *s);
/* Forgets a look-up under way. */
void resolve_cancel(struct app_server *s);

/* streams.c */
void streams_open(struct run *r, const struct overlay_event *e);
void streams_close(struct run *r, uint32_t stream);
/* Writes what waits, as far as there is room. */
void streams_flush(struct run *r);
void streams_destroy(struct run *r);

/* join.c */
void join_begin(struct app *a, struct control_call *call, const char *token, const char *name);
void join_cancel(struct join *j);
bool join_is_for(const struct join *j, const struct control_call *call);

/* status.c */
void status_fill(void *ctx, struct control_status *ret);
bool status_peer(void *ctx, size_t index, struct control_peer *ret);
void status_path(struct run *r, const struct ice_path *path, struct control_path *ret);
enum control_peer_state status_peer_state(const struct overlay_peer_info *info);
enum problem problem_of_link(enum signal_link_reason reason);
enum problem problem_of_signal(enum signal_error error);

/* ping.c */
void ping_begin(struct run *r, struct control_call *call, const char *peer, uint32_t count,
		uint32_t interval_ms);
void ping_on_event(struct run *r, const struct overlay_event *e);
void ping_on_timer(uv_timer_t *t);
void ping_cancel(struct run *r, const struct control_call *call);
/* Ends all with PROBLEM_NOT_UP. */
void ping_end_all(struct run *r);

#endif
