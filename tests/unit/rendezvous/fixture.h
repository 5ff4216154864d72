/*
 * The whole service without a network: connections are numbers, what is sent to them is kept.
 */
#ifndef ICETUN_TEST_RENDEZVOUS_FIXTURE_H
#define ICETUN_TEST_RENDEZVOUS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/time.h"
#include "daemon/core/crypto/random.h"
#include "rendezvous/service.h"

#define UNIX_S	    1000000000
#define CONNECTIONS 400

/* A test with a service of its own. */
#define SERVICE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* The other end of a connection. */
struct peer {
	bool is_gone;
	int room; /* messages until it is busy; negative = no end */
	struct signal_message last;
	uint8_t bytes[SIGNAL_MESSAGE_MAX_BYTES];
	unsigned seen[SIGNAL_TYPE_COUNT];
	unsigned count;
};

struct fixture {
	struct service *service;
	uint64_t now_us;
	struct peer peers[CONNECTIONS];
	struct random_seeded seed;
	uint8_t public[SIGN_PUBLIC_BYTES];
	uint8_t secret[SIGN_SECRET_BYTES];
	enum issuer_result join_result;
	unsigned joins;
	unsigned events[SERVICE_EVENT_COUNT];
};

/* Who speaks: a connection and the key that it has proven. */
struct voice {
	uint32_t connection;
	uint8_t key;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Each hands the service a message. Return: what service_input() said. */
enum err say_bytes(struct fixture *f, struct voice v, const void *buf, size_t len);
enum err say(struct fixture *f, struct voice v, const struct signal_message *m);
enum err forward(struct fixture *f, struct voice from, const char *to, uint8_t xid);
/* Signs a certificate that is valid for ten seconds from UNIX_S. Return: its length. */
size_t make_certificate(struct fixture *f, const char *name, uint8_t key,
			uint8_t ret[static CERT_MAX_BYTES]);
/* Opens the connection, answers the challenge. Return: what service_input() said to REGISTER. */
enum err try_register(struct fixture *f, struct voice v, const char *name, uint64_t epoch);
/* A host that is registered. */
struct voice member(struct fixture *f, uint32_t connection, uint8_t key, const char *name);
/* The last message was this error, about an exchange whose xid is all @xid. */
void check_error(const struct peer *p, enum signal_error code, uint8_t xid);
/* Serves the deadlines of the next second. */
void pass_second(struct fixture *f);

#endif
