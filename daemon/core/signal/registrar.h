/*
 * The client's side of registration: keeps this host registered while there is a link.
 *
 * The link (an encrypted connection to the server) belongs to the shell, which tells when it comes
 * up and goes, hands in every message of the server, pulls what is to be sent, and makes a new
 * connection when the registrar says that this one is dead. The tunnels do not depend on any of it.
 *
 *	registrar_on_link_up(r, now_us);
 *	if (!registrar_on_message(r, now_us, &message))
 *		...it is for somebody else (FOUND, DELIVER, ...)
 *	registrar_on_deadline(r, now_us);                  // at registrar_next_deadline(r)
 *	...after each of these: pop_transmit and pop_event until they are empty
 *
 * Timers, in one place:
 *   no answer to the first message after link up  10 s, then LINK_DEAD
 *   no answer to REGISTER                      10 s, then LINK_DEAD
 *   refused as BUSY or RATE                    asks for a new challenge after retry_ms (5 s if none
 *                                              is given, at most 60 s), plus up to 20 %
 *   between two REGISTER                       500 ms at least; a challenge that comes earlier
 *                                              waits
 *   PING                                       ping_ms (of REGISTERED, 5..120 s) +-20 % after the
 *   last no message at all after a PING half of ping_ms, 10 s at most; then a second PING,
 *                                              then LINK_DEAD
 */
#ifndef ICETUN_SIGNAL_REGISTRAR_H
#define ICETUN_SIGNAL_REGISTRAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/err.h"
#include "daemon/core/base/random.h"
#include "daemon/core/base/time.h"
#include "daemon/core/signal/message.h"

enum registrar_state {
	/* No link, or the link was declared dead. Left by link up. */
	REGISTRAR_DOWN,
	/* A link; the server has not challenged yet, for which it is asked with PING, or a refusal
	 * that passes is waited out. Left by CHALLENGE. */
	REGISTRAR_WAITING,
	/* REGISTER is sent or about to be: after CHALLENGE, and at once on the link of a host that
	 * was registered before. Left by REGISTERED or ERROR; CHALLENGE begins it again. */
	REGISTRAR_REGISTERING,
	/* The server knows us. Left by CHALLENGE (then REGISTERING), ERROR, or silence. */
	REGISTRAR_REGISTERED,
	/* Refused for a reason that does not pass by itself; nothing is sent, whatever the link
	 * does. Left only by registrar_retry(), registrar_set_certificate() and registrar_bye(). */
	REGISTRAR_REFUSED,
	REGISTRAR_STATE_COUNT
};

enum registrar_event_type {
	/* Registered: servers and revocation list are there to be read. */
	REGISTRAR_EVENT_REGISTERED,
	/* Still registered; there are new servers to be read, or new credentials for them. */
	REGISTRAR_EVENT_SERVERS,
	/* No longer registered; it will be tried again by itself. */
	REGISTRAR_EVENT_LOST,
	/* Refused for good, see code. */
	REGISTRAR_EVENT_REFUSED,
	/* The server does not answer any more: make a new connection, then tell link up. */
	REGISTRAR_EVENT_LINK_DEAD,
};

struct registrar_event {
	enum registrar_event_type type;
	enum signal_error code; /* REFUSED */
};

struct registrar_params {
	const uint8_t *certificate; /* copied */
	size_t certificate_len;	    /* 1..CERT_MAX_BYTES */
	/* Of this start of the program, above that of every start before, below 2^48. REGISTER
	 * carries it times 65536 plus a number that rises with each REGISTER. */
	uint64_t epoch;
	struct random_source random;
};

struct registrar;

/* Return: OK, ERR_INVALID, ERR_NO_MEMORY. The state is DOWN. */
MUST_USE enum err registrar_create(struct registrar **ret, const struct registrar_params *params);
void registrar_destroy(struct registrar *r);

/* The link stands; also correct when it was said to be up before (it is another one then). */
void registrar_on_link_up(struct registrar *r, uint64_t now_us);
void registrar_on_link_down(struct registrar *r, uint64_t now_us);

/* Takes any message of the server: each shows that the server is there. Return: true when it was
 * one of registration (CHALLENGE, REGISTERED, PONG, ERROR without xid), even if it did not fit and
 * was ignored; false when somebody else has to look at it. */
bool registrar_on_message(struct registrar *r, uint64_t now_us, const struct signal_message *m);

/* Return: DEADLINE_NONE while nothing is scheduled. */
uint64_t registrar_next_deadline(const struct registrar *r);
void registrar_on_deadline(struct registrar *r, uint64_t now_us);

/* Writes the next message for the server to @buf. @cap: SIGNAL_MESSAGE_MAX_BYTES.
 * Return: false when there is none. */
bool registrar_pop_transmit(struct registrar *r, uint8_t *buf, size_t cap, size_t *ret_len);
bool registrar_pop_event(struct registrar *r, struct registrar_event *ret);

/* Registers again after REFUSED, on a new connection (LINK_DEAD asks for it). Nothing in other
 * states. */
void registrar_retry(struct registrar *r, uint64_t now_us);
/* From now on registers with this certificate, which is copied. A host that is registered, or was
 * refused, registers again with it at once, on a new connection (LINK_DEAD asks for it).
 * Return: OK, ERR_INVALID. */
MUST_USE enum err registrar_set_certificate(struct registrar *r, uint64_t now_us,
					    const uint8_t *certificate, size_t len);
/* Says good-bye when registered (one more pop_transmit), and is DOWN until the next link up. */
void registrar_bye(struct registrar *r, uint64_t now_us);

enum registrar_state registrar_state(const struct registrar *r);
/* Whether other messages may go, after what pop_transmit() has: we are registered, or will be, if
 * all is as it was on the last link, when they arrive. What is lost because it is not is repeated
 * by who sent it. */
bool registrar_is_heard(const struct registrar *r);
/* "down", "waiting", "registering", "registered", "refused" */
const char *registrar_state_name(enum registrar_state state);
/* Why it is REFUSED, or was last told to wait; SIGNAL_ERROR_OTHER when never. */
enum signal_error registrar_code(const struct registrar *r);
/* Of the last REGISTERED; valid until the next registrar_on_message(). */
const struct signal_server *registrar_servers(const struct registrar *r, size_t *ret_count);
/* Return: NULL when the server gave none; to be verified (cert/revocation.h). */
const uint8_t *registrar_revocation(const struct registrar *r, size_t *ret_len);
/* The server's clock less ours as told at CHALLENGE is for the shell: Unix time of the server at
 * the last CHALLENGE, 0 before. */
uint64_t registrar_server_time_s(const struct registrar *r);

#endif
