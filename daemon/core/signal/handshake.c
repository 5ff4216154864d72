#include "daemon/core/signal/handshake.h"

#include "daemon/core/cbor/item.h"
#include "daemon/core/signal/description.h"

/* More ciphers than anybody offers are refused; more than we keep are passed over. */
#define CIPHERS_ON_THE_WIRE 16

enum key {
	KEY_VERSION = 0,
	KEY_ICE = 1,
	KEY_CERTIFICATE = 2,
	KEY_CIPHERS = 3,
	KEY_TIMESTAMP = 4,
	KEY_RECEIVER_INDEX = 5,
	KEY_LANES = 6,
	KEY_MTU = 7,
	KEY_RESTARTS = 8,
	KEY_FEATURES = 9,
	KEY_SEEN = 10,
};

static bool is_mtu(uint64_t mtu_bytes)
{
	return mtu_bytes == 0 || mtu_bytes >= SIGNAL_MTU_MIN_BYTES;
}

static bool is_certificate(const struct signal_handshake *h)
{
	if (h->certificate_len == 0)
		return h->restarts != 0;
	return h->certificate && h->certificate_len <= CERT_MAX_BYTES;
}

static bool is_consistent(const struct signal_handshake *h)
{
	return is_certificate(h) && h->cipher_count >= 1 && h->cipher_count <= SIGNAL_MAX_CIPHERS &&
	       h->receiver_index != 0 && h->lanes >= 1 && h->lanes <= SIGNAL_MAX_LANES &&
	       is_mtu(h->mtu_bytes);
}

enum err signal_handshake_encode(const struct signal_handshake *h, uint8_t *out, size_t cap,
				 size_t *ret_len)
{
	struct wr w =
		wr_init(out, cap < SIGNAL_HANDSHAKE_MAX_BYTES ? cap : SIGNAL_HANDSHAKE_MAX_BYTES);

	if (!is_consistent(h) || ice_description_check(&h->ice) != OK)
		return ERR_INVALID;
	item_wr_map(&w, 6u + (h->certificate_len != 0) + (h->mtu_bytes != 0) + (h->restarts != 0) +
				(h->features != 0) + (h->seen_us != 0));
	item_wr_uint(&w, KEY_VERSION);
	item_wr_uint(&w, SIGNAL_VERSION);
	item_wr_uint(&w, KEY_ICE);
	signal_description_write(&w, &h->ice);
	if (h->certificate_len) {
		item_wr_uint(&w, KEY_CERTIFICATE);
		item_wr_bytes(&w, h->certificate, h->certificate_len);
	}
	item_wr_uint(&w, KEY_CIPHERS);
	item_wr_array(&w, h->cipher_count);
	for (size_t i = 0; i < h->cipher_count; i++)
		item_wr_uint(&w, h->ciphers[i]);
	item_wr_uint(&w, KEY_TIMESTAMP);
	item_wr_uint(&w, h->timestamp_us);
	item_wr_uint(&w, KEY_RECEIVER_INDEX);
	item_wr_uint(&w, h->receiver_index);
	item_wr_uint(&w, KEY_LANES);
	item_wr_uint(&w, h->lanes);
	if (h->mtu_bytes) {
		item_wr_uint(&w, KEY_MTU);
		item_wr_uint(&w, h->mtu_bytes);
	}
	if (h->restarts) {
		item_wr_uint(&w, KEY_RESTARTS);
		item_wr_uint(&w, h->restarts);
	}
	if (h->features) {
		item_wr_uint(&w, KEY_FEATURES);
		item_wr_uint(&w, h->features);
	}
	if (h->seen_us) {
		item_wr_uint(&w, KEY_SEEN);
		item_wr_uint(&w, h->seen_us);
	}
	if (!wr_ok(&w))
		return ERR_NO_SPACE;
	*ret_len = wr_len(&w);
	return OK;
}

static void read_ciphers(struct item_rd *r, struct signal_handshake *ret)
{
	size_t left = item_rd_array(r, CIPHERS_ON_THE_WIRE);

	while (left-- > 0 && item_rd_ok(r)) {
		uint8_t cipher = (uint8_t)item_rd_uint_max(r, UINT8_MAX);

		if (ret->cipher_count < SIGNAL_MAX_CIPHERS)
			ret->ciphers[ret->cipher_count++] = cipher;
	}
}

static void read_value(struct item_rd *r, uint64_t key, struct signal_handshake *ret)
{
	switch (key) {
	case KEY_ICE:
		signal_description_read(r, &ret->ice);
		break;
	case KEY_CERTIFICATE:
		ret->certificate = item_rd_bytes(r, &ret->certificate_len);
		break;
	case KEY_CIPHERS:
		read_ciphers(r, ret);
		break;
	case KEY_TIMESTAMP:
		ret->timestamp_us = item_rd_uint(r);
		break;
	case KEY_RECEIVER_INDEX:
		ret->receiver_index = (uint32_t)item_rd_uint_max(r, UINT32_MAX);
		break;
	case KEY_LANES:
		ret->lanes = (uint8_t)item_rd_uint_max(r, UINT8_MAX);
		break;
	case KEY_MTU:
		ret->mtu_bytes = (uint16_t)item_rd_uint_max(r, SIGNAL_MTU_MAX_BYTES);
		break;
	case KEY_RESTARTS:
		ret->restarts = (uint32_t)item_rd_uint_max(r, UINT32_MAX);
		break;
	case KEY_FEATURES:
		ret->features = (uint32_t)item_rd_uint_max(r, UINT32_MAX);
		break;
	case KEY_SEEN:
		ret->seen_us = item_rd_uint(r);
		break;
	default:
		item_rd_skip(r);
	}
}

/* ICE description and timestamp have no value that means "missing". */
#define REQUIRED (1u << KEY_ICE | 1u << KEY_TIMESTAMP)

enum err signal_handshake_decode(const uint8_t *buf, size_t len, struct signal_handshake *ret)
{
	struct item_rd r = item_rd_init(buf, len);
	struct signal_handshake h = {.certificate = NULL};
	uint32_t seen = 0;
	struct item_map map;
	uint64_t key, version;

	if (len > SIGNAL_HANDSHAKE_MAX_BYTES)
		return DROP_TOO_LONG;
	item_rd_map(&r, &map);
	if (!item_map_next(&r, &map, &key) || key != KEY_VERSION)
		return DROP_MALFORMED;
	version = item_rd_uint(&r);
	if (item_rd_ok(&r) && version != SIGNAL_VERSION)
		return DROP_VERSION;
	while (item_map_next(&r, &map, &key)) {
		read_value(&r, key, &h);
		if (key < 32)
			seen |= 1u << key;
	}
	if (!item_rd_at_end(&r) || (seen & REQUIRED) != REQUIRED || !is_consistent(&h))
		return DROP_MALFORMED;
	*ret = h;
	return OK;
}
