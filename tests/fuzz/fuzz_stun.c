/*
 * A datagram is decoded as it came, and again with its FINGERPRINT made right, since no fuzzer
 * guesses a CRC. What decodes is written anew, signed, and must come back the same.
 */
#include <string.h>

#include "daemon/core/stun/fingerprint.h"
#include "daemon/core/stun/message.h"
#include "daemon/core/stun/writer.h"
#include "tests/fuzz/fuzz.h"

#define KEY "key"

static const void *field(const struct stun_message *m, enum stun_attribute a)
{
	return (const uint8_t *)m + stun_attribute_row(a)->field_offset;
}

static uint64_t number(const struct stun_message *m, enum stun_attribute a)
{
	switch (stun_attribute_row(a)->codec) {
	case STUN_CODEC_U8:
		return *(const uint8_t *)field(m, a);
	case STUN_CODEC_U16:
		return *(const uint16_t *)field(m, a);
	case STUN_CODEC_U32:
		return *(const uint32_t *)field(m, a);
	case STUN_CODEC_U64:
		return *(const uint64_t *)field(m, a);
	case STUN_CODEC_BYTES:
	case STUN_CODEC_FLAG:
	case STUN_CODEC_ADDRESS:
	case STUN_CODEC_XOR_ADDRESS:
	case STUN_CODEC_ERROR:
	case STUN_CODEC_TYPES:
	case STUN_CODEC_POSITION:
		break;
	}
	abort();
}

/* Return: false for what the writer does not write. */
static bool write_attribute(struct stun_writer *w, const struct stun_message *m,
			    enum stun_attribute a)
{
	const struct stun_bytes *bytes = field(m, a);

	switch (stun_attribute_row(a)->codec) {
	case STUN_CODEC_BYTES:
		stun_write_bytes(w, a, bytes->p, bytes->len);
		return true;
	case STUN_CODEC_FLAG:
		stun_write_flag(w, a);
		return true;
	case STUN_CODEC_U8:
	case STUN_CODEC_U16:
	case STUN_CODEC_U32:
	case STUN_CODEC_U64:
		stun_write_number(w, a, number(m, a));
		return true;
	case STUN_CODEC_ADDRESS:
	case STUN_CODEC_XOR_ADDRESS:
		stun_write_address(w, a, field(m, a));
		return true;
	case STUN_CODEC_ERROR:
		if (a == STUN_ERROR_CODE)
			stun_write_error(w, m->error.code);
		return a == STUN_ERROR_CODE;
	case STUN_CODEC_TYPES:
		stun_write_unknown(w, field(m, a));
		return true;
	case STUN_CODEC_POSITION:
		break;
	}
	return false;
}

static void check_same(const struct stun_message *m, const struct stun_message *n,
		       enum stun_attribute a)
{
	const struct stun_bytes *x = field(m, a), *y = field(n, a);

	fuzz_check(stun_has(n, a));
	switch (stun_attribute_row(a)->codec) {
	case STUN_CODEC_BYTES:
		fuzz_check(x->len == y->len);
		fuzz_check(x->len == 0 || memcmp(x->p, y->p, x->len) == 0);
		break;
	case STUN_CODEC_U8:
	case STUN_CODEC_U16:
	case STUN_CODEC_U32:
	case STUN_CODEC_U64:
		fuzz_check(number(m, a) == number(n, a));
		break;
	case STUN_CODEC_ADDRESS:
	case STUN_CODEC_XOR_ADDRESS:
		fuzz_check(netaddr_equal(field(m, a), field(n, a)));
		break;
	case STUN_CODEC_ERROR:
		fuzz_check(m->error.code == n->error.code);
		break;
	case STUN_CODEC_TYPES:
		fuzz_check(memcmp(field(m, a), field(n, a), sizeof(struct stun_types)) == 0);
		break;
	case STUN_CODEC_FLAG:
	case STUN_CODEC_POSITION:
		break;
	}
}

static void round_trip(const struct stun_message *m)
{
	static uint8_t buf[UINT16_MAX];
	bool written[STUN_ATTRIBUTE_COUNT] = {false};
	struct stun_message n;
	struct stun_writer w;
	size_t len;
	enum err e;

	stun_write_begin(&w, buf, sizeof(buf), m->class, m->method, m->txid);
	for (enum stun_attribute a = 0; a < STUN_ATTRIBUTE_COUNT; a++)
		if (stun_has(m, a))
			written[a] = write_attribute(&w, m, a);
	e = stun_write_finish(&w, KEY, strlen(KEY), true, &len);
	if (e == ERR_NO_SPACE)
		return;
	fuzz_check(e == OK);
	fuzz_check(stun_decode(&n, buf, len) == OK);
	fuzz_check(stun_check_integrity(&n, KEY, strlen(KEY)) == OK);
	fuzz_check(n.class == m->class && n.method == m->method);
	fuzz_check(memcmp(n.txid, m->txid, sizeof(n.txid)) == 0);
	for (enum stun_attribute a = 0; a < STUN_ATTRIBUTE_COUNT; a++)
		if (written[a])
			check_same(m, &n, a);
}

static void decode(const uint8_t *data, size_t size)
{
	struct stun_message m;
	enum err e = stun_decode(&m, data, size);

	fuzz_check(e == OK || err_is_drop(e));
	if (e != OK)
		return;
	fuzz_check(stun_is_message(data, size));
	e = stun_check_integrity(&m, KEY, strlen(KEY));
	fuzz_check(e == OK || e == DROP_INTEGRITY);
	e = stun_check_integrity_sha256(&m, KEY, strlen(KEY));
	fuzz_check(e == OK || e == DROP_INTEGRITY);
	round_trip(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	uint32_t crc;

	decode(data, size);
	if (size < STUN_HEADER_BYTES + STUN_FINGERPRINT_BYTES)
		return 0;
	copy = malloc(size);
	fuzz_check(copy);
	memcpy(copy, data, size);
	crc = stun_fingerprint(copy, size - STUN_FINGERPRINT_BYTES);
	for (size_t i = 0; i < 4; i++)
		copy[size - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
	decode(copy, size);
	free(copy);
	return 0;
}
