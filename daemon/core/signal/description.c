#include "daemon/core/signal/description.h"

#include "daemon/core/cbor/address.h"

#define TRANSPORT_UDP "udp"
/* More extensions than anybody needs are refused; more than we keep are passed over. */
#define EXTENSIONS_ON_THE_WIRE 32

enum description_key {
	KEY_UFRAG = 1,
	KEY_PWD = 2,
	KEY_CANDIDATES = 3,
	KEY_TA = 4,
	KEY_OPTIONS = 5,
	KEY_LITE = 6,
	KEY_END = 7,
	KEY_EXTENSIONS = 8,
};

enum candidate_key {
	KEY_FOUNDATION = 1,
	KEY_COMPONENT = 2,
	KEY_TRANSPORT = 3,
	KEY_PRIORITY = 4,
	KEY_TYPE = 5,
	KEY_ADDRESS = 6,
	KEY_PORT = 7,
	KEY_RELATED = 8,
	KEY_CANDIDATE_EXTENSIONS = 9,
};

static void write_extensions(struct wr *w, const struct ice_extension *e, size_t count)
{
	item_wr_array(w, count);
	for (size_t i = 0; i < count; i++) {
		item_wr_array(w, 2);
		item_wr_text(w, e[i].name);
		item_wr_text(w, e[i].value);
	}
}

/* Keeps the first @max that fit. Return: how many these are. */
static size_t read_extensions(struct item_rd *r, struct ice_extension *ret, size_t max)
{
	size_t left = item_rd_array(r, EXTENSIONS_ON_THE_WIRE);
	size_t count = 0;

	while (left-- > 0 && item_rd_ok(r)) {
		const char *name, *value;
		size_t name_len, value_len;

		if (item_rd_array(r, 2) != 2)
			item_rd_fail(r);
		name = item_rd_text(r, &name_len);
		value = item_rd_text(r, &value_len);
		if (!name || !value || count == max || name_len > ICE_EXTENSION_NAME_MAX_BYTES ||
		    value_len > ICE_EXTENSION_VALUE_MAX_BYTES)
			continue;
		ret[count] = (struct ice_extension){.name = ""};
		memcpy(ret[count].name, name, name_len);
		memcpy(ret[count].value, value, value_len);
		count++;
	}
	return count;
}

void signal_candidate_write(struct wr *w, const struct ice_candidate *c)
{
	bool has_related = netaddr_ip_bytes(&c->related) > 0;

	item_wr_map(w, 6u + has_related + (c->extension_count > 0));
	item_wr_uint(w, KEY_FOUNDATION);
	item_wr_text(w, c->foundation);
	item_wr_uint(w, KEY_TRANSPORT);
	item_wr_text(w, TRANSPORT_UDP);
	item_wr_uint(w, KEY_PRIORITY);
	item_wr_uint(w, c->priority);
	item_wr_uint(w, KEY_TYPE);
	item_wr_text(w, ice_candidate_type_name(c->type));
	item_wr_uint(w, KEY_ADDRESS);
	item_wr_ip(w, &c->addr);
	item_wr_uint(w, KEY_PORT);
	item_wr_uint(w, c->addr.port);
	if (has_related) {
		item_wr_uint(w, KEY_RELATED);
		item_wr_array(w, 2);
		item_wr_ip(w, &c->related);
		item_wr_uint(w, c->related.port);
	}
	if (c->extension_count) {
		item_wr_uint(w, KEY_CANDIDATE_EXTENSIONS);
		write_extensions(w, c->extensions, c->extension_count);
	}
}

/* Reads any address. Return: true when it is one of ours, not a name or a form of a later
 * version. */
static bool read_address(struct item_rd *r, struct netaddr *ret)
{
	struct item_rd value = {.r = item_rd_raw(r)};

	item_rd_ip(&value, 0, ret);
	return item_rd_at_end(&value);
}

static uint16_t read_port(struct item_rd *r)
{
	return (uint16_t)item_rd_uint_max(r, UINT16_MAX);
}

/* The related address only informs; where it is in another form, it is left out. */
static void read_related(struct item_rd *r, struct netaddr *ret)
{
	struct netaddr a;
	bool known;
	uint16_t port;

	if (item_rd_array(r, 2) != 2)
		item_rd_fail(r);
	known = read_address(r, &a);
	port = read_port(r);
	if (known) {
		a.port = port;
		*ret = a;
	}
}

static bool is_equal(const char *text, size_t len, const char *expected)
{
	return text && len == strlen(expected) && memcmp(text, expected, len) == 0;
}

static bool read_type(struct item_rd *r, enum ice_candidate_type *ret)
{
	size_t len;
	const char *text = item_rd_text(r, &len);

	for (int type = 0; type < ICE_CANDIDATE_TYPE_COUNT; type++) {
		if (is_equal(text, len, ice_candidate_type_name((enum ice_candidate_type)type))) {
			*ret = (enum ice_candidate_type)type;
			return true;
		}
	}
	return false;
}

static bool read_transport(struct item_rd *r)
{
	size_t len;
	const char *text = item_rd_text(r, &len);

	return is_equal(text, len, TRANSPORT_UDP);
}

static uint32_t clamp_priority(uint64_t priority)
{
	return (uint32_t)(priority < ICE_PRIORITY_MAX ? priority : ICE_PRIORITY_MAX);
}

/* Reads the value of @key. Return: false when it makes the candidate one that we cannot use. */
static bool read_candidate_value(struct item_rd *r, uint64_t key, struct ice_candidate *ret,
				 uint16_t *ret_port)
{
	switch (key) {
	case KEY_FOUNDATION:
		item_rd_text_copy(r, ret->foundation, sizeof(ret->foundation), 1);
		return true;
	case KEY_COMPONENT:
		return item_rd_uint(r) == 1;
	case KEY_TRANSPORT:
		ret->transport = ICE_TRANSPORT_UDP;
		return read_transport(r);
	case KEY_PRIORITY:
		ret->priority = clamp_priority(item_rd_uint_max(r, UINT32_MAX));
		return true;
	case KEY_TYPE:
		return read_type(r, &ret->type);
	case KEY_ADDRESS:
		return read_address(r, &ret->addr);
	case KEY_PORT:
		*ret_port = read_port(r);
		return true;
	case KEY_RELATED:
		read_related(r, &ret->related);
		return true;
	case KEY_CANDIDATE_EXTENSIONS:
		ret->extension_count =
			read_extensions(r, ret->extensions, ICE_MAX_CANDIDATE_EXTENSIONS);
		return true;
	default:
		item_rd_skip(r);
		return true;
	}
}

bool signal_candidate_read(struct item_rd *r, struct ice_candidate *ret)
{
	static const uint32_t required = 1u << KEY_FOUNDATION | 1u << KEY_TRANSPORT |
					 1u << KEY_PRIORITY | 1u << KEY_TYPE | 1u << KEY_ADDRESS |
					 1u << KEY_PORT;
	bool usable = true;
	uint32_t seen = 0;
	uint16_t port = 0;
	struct item_map map;
	uint64_t key;

	*ret = (struct ice_candidate){.type = ICE_CANDIDATE_HOST};
	item_rd_map(r, &map);
	while (item_map_next(r, &map, &key)) {
		usable &= read_candidate_value(r, key, ret, &port);
		if (key < 32)
			seen |= 1u << key;
	}
	ret->addr.port = port;
	if ((seen & required) != required || (usable && ice_candidate_check(ret) != OK))
		item_rd_fail(r);
	return usable && item_rd_ok(r);
}

static void write_options(struct wr *w, const struct ice_description *d)
{
	item_wr_array(w, d->option_count);
	for (size_t i = 0; i < d->option_count; i++)
		item_wr_text(w, d->options[i]);
}

void signal_description_write(struct wr *w, const struct ice_description *d)
{
	item_wr_map(w, 3u + (d->ta_ms != 0) + (d->option_count > 0) + d->lite +
			       d->end_of_candidates + (d->extension_count > 0));
	item_wr_uint(w, KEY_UFRAG);
	item_wr_text(w, d->ufrag);
	item_wr_uint(w, KEY_PWD);
	item_wr_text(w, d->pwd);
	item_wr_uint(w, KEY_CANDIDATES);
	item_wr_array(w, d->candidate_count);
	for (size_t i = 0; i < d->candidate_count; i++)
		signal_candidate_write(w, &d->candidates[i]);
	if (d->ta_ms) {
		item_wr_uint(w, KEY_TA);
		item_wr_uint(w, d->ta_ms);
	}
	if (d->option_count) {
		item_wr_uint(w, KEY_OPTIONS);
		write_options(w, d);
	}
	if (d->lite) {
		item_wr_uint(w, KEY_LITE);
		item_wr_bool(w, true);
	}
	if (d->end_of_candidates) {
		item_wr_uint(w, KEY_END);
		item_wr_bool(w, true);
	}
	if (d->extension_count) {
		item_wr_uint(w, KEY_EXTENSIONS);
		write_extensions(w, d->extensions, d->extension_count);
	}
}

static void read_candidates(struct item_rd *r, struct ice_description *ret)
{
	size_t left = item_rd_array(r, ICE_MAX_CANDIDATES);

	while (left-- > 0 && item_rd_ok(r))
		ret->candidate_count +=
			signal_candidate_read(r, &ret->candidates[ret->candidate_count]);
}

static void read_options(struct item_rd *r, struct ice_description *ret)
{
	size_t left = item_rd_array(r, EXTENSIONS_ON_THE_WIRE);

	while (left-- > 0 && item_rd_ok(r)) {
		size_t len;
		const char *text = item_rd_text(r, &len);

		if (!text || len > ICE_OPTION_MAX_BYTES || ret->option_count == ICE_MAX_OPTIONS)
			continue;
		memcpy(ret->options[ret->option_count++], text, len);
	}
}

void signal_description_read(struct item_rd *r, struct ice_description *ret)
{
	struct item_map map;
	uint64_t key;

	*ret = (struct ice_description){.ta_ms = 0};
	item_rd_map(r, &map);
	while (item_map_next(r, &map, &key)) {
		switch (key) {
		case KEY_UFRAG:
			item_rd_text_copy(r, ret->ufrag, sizeof(ret->ufrag), ICE_UFRAG_MIN_BYTES);
			break;
		case KEY_PWD:
			item_rd_text_copy(r, ret->pwd, sizeof(ret->pwd), ICE_PWD_MIN_BYTES);
			break;
		case KEY_CANDIDATES:
			read_candidates(r, ret);
			break;
		case KEY_TA:
			ret->ta_ms = (uint16_t)item_rd_uint_max(r, UINT16_MAX);
			break;
		case KEY_OPTIONS:
			read_options(r, ret);
			break;
		case KEY_LITE:
			ret->lite = item_rd_bool(r);
			break;
		case KEY_END:
			ret->end_of_candidates = item_rd_bool(r);
			break;
		case KEY_EXTENSIONS:
			ret->extension_count =
				read_extensions(r, ret->extensions, ICE_MAX_EXTENSIONS);
			break;
		default:
			item_rd_skip(r);
		}
	}
	/* Without ufrag or pwd it does not pass either. A description without the key for
	 * candidates is one without candidates: all may follow later. */
	if (!item_rd_ok(r) || ice_description_check(ret) != OK)
		item_rd_fail(r);
}

enum err signal_candidates_encode(const struct signal_candidates *c, uint8_t *out, size_t cap,
				  size_t *ret_len)
{
	struct wr w = wr_init(out, cap);

	item_wr_array(&w, c->count + 1);
	item_wr_bool(&w, c->end);
	for (size_t i = 0; i < c->count; i++)
		signal_candidate_write(&w, &c->local[i]);
	if (!wr_ok(&w))
		return ERR_NO_SPACE;
	*ret_len = wr_len(&w);
	return OK;
}

enum err signal_candidates_decode(const uint8_t *buf, size_t len, struct signal_candidates *ret)
{
	struct item_rd r = item_rd_init(buf, len);
	size_t items = item_rd_array(&r, ICE_MAX_CANDIDATES + 1);

	*ret = (struct signal_candidates){.end = item_rd_bool(&r)};
	for (size_t i = 1; i < items && item_rd_ok(&r); i++)
		ret->count += signal_candidate_read(&r, &ret->remote[ret->count]);
	return item_rd_at_end(&r) ? OK : DROP_MALFORMED;
}
