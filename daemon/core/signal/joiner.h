/*
 * The client's side of joining: shows a token to the issuer and gets a certificate.
 *
 * The shell makes a connection to the server that the token names, with the CURVE key that the
 * certificate shall hold, tells when the link is up, and drives the joiner as a registrar
 * (registrar.h). JOIN is sent at once and again after 1, 2, 4 and 4 s, always with the same xid, so
 * the server answers a repetition as it answered the first, and a token is not used up twice. 15 s
 * after the first JOIN it gives up. A server that says BUSY or RATE is asked again when it said,
 * within these 15 s. How long to wait for a link at all is the shell's to decide.
 *
 * The certificate is to be verified against the token's authority key, and its name and keys
 * compared with what was asked for, before it is used.
 */
#ifndef ICETUN_SIGNAL_JOINER_H
#define ICETUN_SIGNAL_JOINER_H

#include "daemon/core/base/random.h"
#include "daemon/core/base/time.h"
#include "daemon/core/signal/message.h"

enum joiner_state {
	/* No link. Left by link up. */
	JOINER_DOWN,
	/* JOIN was sent at least once. Left by JOINED, ERROR, link down, or time. */
	JOINER_ASKING,
	/* There is a certificate. Final. */
	JOINER_DONE,
	/* The server refused (code), or did not answer (code is OTHER). Final. */
	JOINER_FAILED,
	JOINER_STATE_COUNT
};

struct joiner_params {
	const uint8_t *secret; /* TOKEN_SECRET_BYTES; copied, and wiped when the joiner ends */
	const char *name;      /* an identifier */
	const uint8_t *noise_public; /* DH_BYTES each */
	const uint8_t *curve_public;
	struct random_source random;
};

struct joiner;

/* Return: OK, ERR_INVALID (name), ERR_NO_MEMORY. */
MUST_USE enum err joiner_create(struct joiner **ret, const struct joiner_params *params);
void joiner_destroy(struct joiner *j);

void joiner_on_link_up(struct joiner *j, uint64_t now_us);
void joiner_on_link_down(struct joiner *j, uint64_t now_us);
/* Takes any message; what does not belong to this exchange is ignored. */
void joiner_on_message(struct joiner *j, uint64_t now_us, const struct signal_message *m);
uint64_t joiner_next_deadline(const struct joiner *j);
void joiner_on_deadline(struct joiner *j, uint64_t now_us);
/* As registrar_pop_transmit(). The buffer holds the token's secret: wipe it after sending. */
bool joiner_pop_transmit(struct joiner *j, uint8_t *buf, size_t cap, size_t *ret_len);

enum joiner_state joiner_state(const struct joiner *j);
/* FAILED: what the server said; SIGNAL_ERROR_OTHER when it did not answer. */
enum signal_error joiner_code(const struct joiner *j);
/* FAILED: the server's words, "" when none. */
const char *joiner_detail(const struct joiner *j);
/* DONE: the certificate, valid as long as the joiner. Otherwise NULL and 0. */
const uint8_t *joiner_certificate(const struct joiner *j, size_t *ret_len);

#endif
