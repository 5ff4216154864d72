/*
 * One end of the simulated pair: an ICE engine with its agent, the relays of the product, sockets
 * on the virtual network, and an owner that does what the peer room does with ICE: it restarts when
 * something has changed, sends data on the path, and switches to the next generation when data has
 * come over it.
 *
 * What leaves the engine is held against ice_rules.h before it goes anywhere.
 */
#ifndef ICETUN_SIM_ICE_END_H
#define ICETUN_SIM_ICE_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/crypto/random.h"
#include "daemon/core/ice/engine.h"
#include "daemon/core/peer/relay.h"
#include "tests/sim/ice_rules.h"
#include "tests/sim/ice_servers.h"

#define ICE_END_SOCKETS 4

enum ice_message_kind {
	ICE_MESSAGE_DESCRIPTION, /* offer or answer */
	ICE_MESSAGE_CANDIDATE,
	ICE_MESSAGE_END,
	ICE_MESSAGE_RESTART, /* the offer of a restart */
	ICE_MESSAGE_RESTARTED,
};

/* What goes through signalling: reliably, in order, with a delay. */
struct ice_message {
	struct ice_message *prev, *next;
	uint64_t at_us;
	size_t to;
	enum ice_message_kind kind;
	uint64_t restart; /* names one restart, and the data over its paths */
	char ufrag[ICE_UFRAG_MAX_BYTES + 1];
	union {
		struct ice_description description;
		struct ice_candidate candidate;
	};
};

struct ice_socket {
	bool is_open;
	uint16_t number;
	struct netaddr addr;
};

struct ice_world;

struct ice_end {
	struct ice_world *world;
	size_t index;
	struct ice_engine *engine;
	struct ice_agent *agent;
	struct relays *relays; /* or NULL */
	bool relays_pending;
	struct random_seeded seeded;
	size_t host;
	struct ice_socket sockets[ICE_END_SOCKETS];
	uint16_t last_socket;
	uint32_t last_stream;
	bool broken_ip4, broken_ip6;
	bool is_described; /* a description of the newest generation was sent */
	bool is_ended;	   /* and that no candidate will follow */
	char ufrag[ICE_UFRAG_MAX_BYTES + 1];
	struct ice_rules *rules;
	/* The owner. */
	bool restarts;	  /* may restart */
	bool has_traffic; /* sends a datagram each second */
	bool is_idle;
	bool is_wanted; /* a restart */
	uint64_t want_us, pause_us;
	bool is_offering;		   /* our restart's offer is not answered */
	uint64_t restart, current, before; /* names: next, current, the one before */
	uint32_t generations;
	uint64_t beat_us, ask_us, heard_us;
	/* What has come of it. */
	enum ice_agent_state state;
	bool had_path, has_reflexive, has_relayed;
	uint64_t first_path_us, completed_us; /* after the offer was sent */
	size_t mappings_changed, restarts_begun, switches, roams;
	bool probe_arrived;
	struct ice_capture {
		uint16_t socket, relay;
		struct netaddr from;
		size_t len;
		uint8_t bytes[SIMNET_MTU_BYTES];
	} captured; /* by the attacker */
};

/* Puts a datagram into the engine. */
void ice_end_put(struct ice_end *e, uint16_t socket, uint16_t relay, const struct netaddr *from,
		 const uint8_t *buf, size_t len);
/* The attacker sees what comes in and what goes out; see ice_attacker.c. */
void ice_attacker_on_input(struct ice_end *e, uint16_t socket, uint16_t relay,
			   const struct netaddr *from, const uint8_t *buf, size_t len);
void ice_attacker_on_output(struct ice_end *e, const struct ice_transmit *t, const uint8_t *buf);

void ice_end_start(struct ice_world *w, size_t index, size_t host);
void ice_end_stop(struct ice_end *e);

/* The agent has a new generation, numbered e->generations. */
void ice_end_note_generation(struct ice_end *e);
void ice_end_open_agent(struct ice_end *e, bool controlling);
void ice_end_add_socket(struct ice_end *e, const struct netaddr *addr);
void ice_end_remove_socket(struct ice_end *e, struct ice_socket *s);
void ice_end_send_description(struct ice_end *e, enum ice_message_kind kind);
void ice_end_receive(struct ice_end *e, const struct ice_message *m);
/* A datagram has arrived at the host. */
void ice_end_input(struct ice_end *e, const struct simnet_delivery *d, const uint8_t *buf);
void ice_end_on_stream(struct ice_end *e, const struct ice_stream_news *news);
uint64_t ice_end_next_deadline(const struct ice_end *e);
void ice_end_on_deadline(struct ice_end *e);
/* Pulls all that comes out. */
void ice_end_drain(struct ice_end *e);
/* Sends a datagram of the agent's owner. */
void ice_end_transmit(struct ice_end *e, const struct ice_transmit *t, const uint8_t *buf);

/* See ice_owner.c. */
void ice_owner_want_restart(struct ice_end *e, uint64_t delay_us);
void ice_owner_set_idle(struct ice_end *e, bool idle);
void ice_owner_on_deadline(struct ice_end *e);
uint64_t ice_owner_next_deadline(const struct ice_end *e);
void ice_owner_on_event(struct ice_end *e, const struct ice_event *event);
void ice_owner_on_message(struct ice_end *e, const struct ice_message *m);
/* Data over @via from @from. */
void ice_owner_on_data(struct ice_end *e, uint16_t socket, uint16_t relay,
		       const struct netaddr *from, const uint8_t *buf, size_t len);
/* Sends a datagram along the path that has to be noticed at the other end. */
bool ice_owner_send_probe(struct ice_end *e);

#endif
