/*
 * What the daemon keeps on disk between starts: its membership, and a few numbers that may never
 * go back.
 *
 * Two files in the state directory (0700), both 0600, both deterministic CBOR:
 *
 *   member   keys, certificate, network, server. Written by join and renewal, removed by leave.
 *   run      epoch, stamp, port, wanted_up. Written often.
 *
 * Each is written whole to a temporary file, synced, and renamed over the old one, then the
 * directory is synced: after a power cut there is the old file or the new one. `run` may be lost
 * without loss of the membership; its numbers then start from the wall clock (state_next_epoch()).
 *
 * A directory or file that another user could read or write, or that belongs to somebody else, is
 * refused rather than repaired: the keys may be known to others.
 *
 * The structure comes from secret_alloc() (locked, wiped when freed), since the two secrets are in
 * it. crypto_start() comes first.
 */
#ifndef ICETUN_CONFIG_STATE_H
#define ICETUN_CONFIG_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/base/err.h"
#include "daemon/core/crypto/dh.h"

#define STATE_NAME_BYTES	    64
#define STATE_ENDPOINT_BYTES	    128
#define STATE_MAX_ENDPOINTS	    4
#define STATE_CERTIFICATE_MAX_BYTES 1024
#define STATE_ERROR_BYTES	    512

struct state {
	/* member; meaningful when `joined` */
	bool joined;
	char network[STATE_NAME_BYTES];
	char name[STATE_NAME_BYTES]; /* this host's identifier */
	uint8_t authority_key[32];   /* Ed25519 public key of the network */
	uint8_t server_key[32];	     /* CURVE public key of the rendezvous server */
	char endpoints[STATE_MAX_ENDPOINTS][STATE_ENDPOINT_BYTES]; /* "tcp://host:port" */
	size_t endpoint_count;
	struct dh_keypair noise; /* both secrets are the host's identity */
	struct dh_keypair curve;
	uint8_t certificate[STATE_CERTIFICATE_MAX_BYTES];
	size_t certificate_len;

	/* run */
	bool wanted_up; /* `ictl up` was said, come up at the next start */
	uint64_t epoch; /* of the last registration period; see state_next_epoch() */
	/* No first handshake message was ever sent with a stamp above this. The application raises
	 * it ahead (say, by a minute) and saves, rather than save for each handshake. */
	uint64_t stamp_us;
	uint16_t port; /* the random port that was chosen; 0 = none yet */
};

/* Return: a state that is not joined, in secret memory; NULL without memory. */
struct state *state_create(void);
/* Wipes and frees; NULL is fine. */
void state_destroy(struct state *s);

/*
 * Reads what is in @directory. A directory that is missing is made (0700), a file that is missing
 * leaves its part as state_create() makes it; a damaged `run` is treated as missing.
 * Return: OK; ERR_PERMISSION (not owned by us, looser modes than 0700 and 0600, a symbolic link,
 * or no access), DROP_MALFORMED (`member` is damaged), ERR_IO, ERR_NO_MEMORY. @error says which
 * file and why; @ret is then untouched.
 */
MUST_USE enum err state_load(const char *directory, struct state *ret,
			     char error[static STATE_ERROR_BYTES]);

/* Writes `member` (with joined) or removes it (without); and `run` in both cases.
 * Return: OK, ERR_PERMISSION, ERR_IO, ERR_NO_MEMORY; the old files stand after a failure. */
MUST_USE enum err state_save(const char *directory, const struct state *s,
			     char error[static STATE_ERROR_BYTES]);
/* Writes `run` alone. Return: as state_save(). */
MUST_USE enum err state_save_run(const char *directory, const struct state *s,
				 char error[static STATE_ERROR_BYTES]);

/* Leave: removes `member` and empties the part of @s that it holds; epoch, stamp and port stay,
 * since they must never go back. Works with a damaged `member` too.
 * Return: OK, ERR_PERMISSION, ERR_IO; then @s is untouched. */
MUST_USE enum err state_leave(const char *directory, struct state *s,
			      char error[static STATE_ERROR_BYTES]);

/* Raises and returns s->epoch: above all before, at least the wall clock. Save it before use. */
uint64_t state_next_epoch(struct state *s, uint64_t unix_s);

#endif
