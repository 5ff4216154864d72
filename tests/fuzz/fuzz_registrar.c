/*
 * The registrar and the joiner get the same calls, which the input spells: messages, deadlines,
 * links that come and go. Whatever happens, what they send decodes, a deadline is never in the past
 * once it was handled, and there is at most one message to send at a time.
 */
#include <string.h>

#include "daemon/core/base/cursor.h"
#include "daemon/core/crypto/random.h"
#include "daemon/core/signal/joiner.h"
#include "daemon/core/signal/registrar.h"
#include "tests/fuzz/fuzz.h"

struct run {
	struct registrar *registrar;
	struct joiner *joiner;
	uint64_t now_us;
	uint64_t epoch;
	struct signal_message joined; /* the last JOIN */
};

static void drain(struct run *run)
{
	static uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
	struct registrar_event event;
	struct signal_message m;
	size_t len, events = 0;

	if (registrar_pop_transmit(run->registrar, buf, sizeof(buf), &len)) {
		fuzz_check(signal_message_decode(buf, len, &m) == OK);
		if (m.type == SIGNAL_REGISTER) {
			fuzz_check(m.epoch > run->epoch);
			run->epoch = m.epoch;
		}
		fuzz_check(!registrar_pop_transmit(run->registrar, buf, sizeof(buf), &len));
	}
	if (joiner_pop_transmit(run->joiner, buf, sizeof(buf), &len)) {
		fuzz_check(signal_message_decode(buf, len, &run->joined) == OK);
		fuzz_check(run->joined.type == SIGNAL_JOIN);
		fuzz_check(!joiner_pop_transmit(run->joiner, buf, sizeof(buf), &len));
	}
	while (registrar_pop_event(run->registrar, &event))
		events++;
	fuzz_check(events <= 2);
}

static void message(struct run *run, struct rd *in)
{
	static const uint8_t bytes[REVOCATION_MAX_BYTES];
	struct signal_message m = {.type = (enum signal_type)(rd_u8(in) % SIGNAL_TYPE_COUNT)};

	m.code = (enum signal_error)(rd_u8(in) % SIGNAL_ERROR_COUNT);
	m.nonce[0] = rd_u8(in);
	m.lease_ms = rd_u32be(in);
	m.ping_ms = rd_u32be(in);
	m.retry_ms = rd_u16be(in);
	m.certificate = m.revocation = bytes;
	m.certificate_len = rd_u16be(in) % (CERT_MAX_BYTES + 1);
	m.revocation_len = rd_u16be(in) % (REVOCATION_MAX_BYTES + 1);
	if (rd_u8(in) & 1)
		memcpy(m.xid, run->joined.xid, sizeof(m.xid));
	(void)registrar_on_message(run->registrar, run->now_us, &m);
	joiner_on_message(run->joiner, run->now_us, &m);
}

static void deadline(struct run *run)
{
	uint64_t next = deadline_min(registrar_next_deadline(run->registrar),
				     joiner_next_deadline(run->joiner));

	if (next != DEADLINE_NONE && next > run->now_us)
		run->now_us = next;
	if (registrar_next_deadline(run->registrar) <= run->now_us)
		registrar_on_deadline(run->registrar, run->now_us);
	fuzz_check(registrar_next_deadline(run->registrar) > run->now_us);
	joiner_on_deadline(run->joiner, run->now_us);
	fuzz_check(joiner_next_deadline(run->joiner) > run->now_us);
}

static void step(struct run *run, struct rd *in)
{
	static const uint8_t certificate[CERT_MAX_BYTES];

	switch (rd_u8(in) % 8) {
	case 0:
		registrar_on_link_up(run->registrar, run->now_us);
		joiner_on_link_up(run->joiner, run->now_us);
		break;
	case 1:
		registrar_on_link_down(run->registrar, run->now_us);
		joiner_on_link_down(run->joiner, run->now_us);
		break;
	case 2:
		registrar_retry(run->registrar, run->now_us);
		break;
	case 3:
		registrar_bye(run->registrar, run->now_us);
		break;
	case 4:
		fuzz_check(registrar_set_certificate(run->registrar, run->now_us, certificate,
						     1 + rd_u8(in)) == OK);
		break;
	case 5:
		deadline(run);
		break;
	default:
		run->now_us += rd_u16be(in) * US_PER_MS;
		message(run, in);
		break;
	}
	/* A deadline may have passed with the time; handling it brings it into the future. */
	deadline(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zero[CERT_MAX_BYTES];
	struct run run = {.now_us = 1};
	struct rd in = rd_init(data, size);
	struct random_seeded seeded;
	struct registrar_params params = {.certificate = zero, .certificate_len = 1};
	struct joiner_params join = {
		.secret = zero, .name = "a", .noise_public = zero, .curve_public = zero};

	random_seeded_init(&seeded, 1);
	params.random = join.random = random_seeded_source(&seeded);
	fuzz_check(registrar_create(&run.registrar, &params) == OK);
	fuzz_check(joiner_create(&run.joiner, &join) == OK);
	while (rd_left(&in) > 0) {
		step(&run, &in);
		drain(&run);
	}
	registrar_destroy(run.registrar);
	joiner_destroy(run.joiner);
	return 0;
}
