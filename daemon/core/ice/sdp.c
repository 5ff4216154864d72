#include "daemon/core/ice/sdp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COMPONENT     1
#define COMPONENT_MAX 256
#define TOKEN_BYTES   64

/* --- reading: a piece of the line, never terminated --- */

struct text {
	const char *p, *end;
};

static size_t text_len(const struct text *t)
{
	return (size_t)(t->end - t->p);
}

static bool text_is(const struct text *t, const char *word)
{
	size_t len = strlen(word);

	return text_len(t) == len && strncasecmp(t->p, word, len) == 0;
}

/* The same, and its case counts. */
static bool text_equals(const struct text *t, const char *word)
{
	size_t len = strlen(word);

	return text_len(t) == len && memcmp(t->p, word, len) == 0;
}

/* Takes the prefix @word, whose case counts. Return: false when the text does not begin with it. */
static bool text_take(struct text *t, const char *word)
{
	size_t len = strlen(word);

	if (text_len(t) < len || memcmp(t->p, word, len) != 0)
		return false;
	t->p += len;
	return true;
}

/* The next word; words are separated by one space. Return: false at the end. */
static bool text_word(struct text *t, struct text *ret)
{
	const char *space;

	if (t->p == t->end)
		return false;
	space = memchr(t->p, ' ', text_len(t));
	*ret = (struct text){t->p, space ? space : t->end};
	t->p = space ? space + 1 : t->end;
	/* A space at the end separates nothing. */
	return text_len(ret) > 0 && !(space && t->p == t->end);
}

/* Return: false when it does not fit or has other than visible ASCII. */
static bool text_copy(const struct text *t, char *ret, size_t cap)
{
	size_t len = text_len(t);

	if (len >= cap)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (t->p[i] < 0x21 || t->p[i] > 0x7e)
			return false;
	}
	memcpy(ret, t->p, len);
	ret[len] = '\0';
	return true;
}

static bool text_number(const struct text *t, size_t max_digits, uint64_t *ret)
{
	uint64_t n = 0;

	if (text_len(t) == 0 || text_len(t) > max_digits)
		return false;
	for (const char *p = t->p; p < t->end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		n = 10 * n + (uint64_t)(*p - '0');
	}
	*ret = n;
	return true;
}

static bool is_one_of(const char *name, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, words[i]) == 0)
			return true;
	}
	return false;
}

/* Names that the grammar has taken are no extensions. */
static bool is_candidate_extension(const struct ice_extension *x)
{
	static const char *const taken[] = {"raddr", "rport"};

	return x->value[0] != '\0' && !is_one_of(x->name, taken, ARRAY_SIZE(taken));
}

static bool is_session_extension(const struct ice_extension *x)
{
	static const char *const taken[] = {"ice-",	   "ice-ufrag",	 "ice-pwd",
					    "ice-options", "ice-pacing", "ice-lite"};

	return strncmp(x->name, taken[0], strlen(taken[0])) == 0 &&
	       !is_one_of(x->name, taken, ARRAY_SIZE(taken));
}

/* --- reading: candidates --- */

enum verdict {
	VERDICT_USE,
	VERDICT_PASS_OVER,
	VERDICT_WRONG,
};

static enum verdict worse(enum verdict a, enum verdict b)
{
	return a > b ? a : b;
}

/* A host name: what we do not resolve (RFC 8839 s. 5.1). */
static bool is_name(const struct text *t)
{
	for (const char *p = t->p; p < t->end; p++) {
		bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

		if (!letter && !(*p >= '0' && *p <= '9') && *p != '-' && *p != '.' && *p != '_')
			return false;
	}
	return text_len(t) > 0 && text_len(t) <= 253;
}

static enum verdict read_address(const struct text *t, uint64_t port, struct netaddr *ret)
{
	char ip[TOKEN_BYTES];

	if (text_copy(t, ip, sizeof(ip)) && !strchr(ip, '%') &&
	    netaddr_parse_ip(ip, (uint16_t)port, ret) == OK)
		return VERDICT_USE;
	return is_name(t) ? VERDICT_PASS_OVER : VERDICT_WRONG;
}

static enum verdict read_type(const struct text *t, enum ice_candidate_type *ret)
{
	char token[TOKEN_BYTES];

	for (int i = 0; i < ICE_CANDIDATE_TYPE_COUNT; i++) {
		*ret = (enum ice_candidate_type)i;
		if (text_is(t, ice_candidate_type_name(*ret)))
			return VERDICT_USE;
	}
	return text_copy(t, token, sizeof(token)) ? VERDICT_PASS_OVER : VERDICT_WRONG;
}

/* "raddr" and "rport" come as a pair; either alone says nothing. */
static enum verdict read_related(struct text *line, struct ice_candidate *c)
{
	struct text rest = *line, name, address, port_name, port;
	struct netaddr related;
	uint64_t number;
	enum verdict v;

	if (!text_word(&rest, &name) || !text_is(&name, "raddr"))
		return VERDICT_USE;
	if (!text_word(&rest, &address) || !text_word(&rest, &port_name) ||
	    !text_is(&port_name, "rport") || !text_word(&rest, &port) ||
	    !text_number(&port, 5, &number) || number > UINT16_MAX)
		return VERDICT_WRONG;
	*line = rest;
	v = read_address(&address, number, &related);
	if (v == VERDICT_USE && !netaddr_is_unspecified(&related))
		c->related = related;
	return v == VERDICT_WRONG ? VERDICT_WRONG : VERDICT_USE;
}

static bool read_extensions(struct text *line, struct ice_candidate *c)
{
	struct text name, value;

	while (line->p < line->end) {
		struct ice_extension x = {0};

		if (!text_word(line, &name) || !text_word(line, &value))
			return false;
		if (c->extension_count < ICE_MAX_CANDIDATE_EXTENSIONS &&
		    text_copy(&name, x.name, sizeof(x.name)) &&
		    text_copy(&value, x.value, sizeof(x.value)) && is_candidate_extension(&x))
			c->extensions[c->extension_count++] = x;
	}
	return true;
}

/* RFC 8839 s. 5.1. */
static enum verdict read_candidate(struct text line, struct ice_candidate *c)
{
	struct text foundation, component, transport, priority, address, port, typ, type;
	uint64_t component_number, priority_number, port_number;
	char token[TOKEN_BYTES];
	enum verdict v = VERDICT_USE;

	if (!text_word(&line, &foundation) || !text_word(&line, &component) ||
	    !text_word(&line, &transport) || !text_word(&line, &priority) ||
	    !text_word(&line, &address) || !text_word(&line, &port) || !text_word(&line, &typ) ||
	    !text_is(&typ, "typ"))
		return VERDICT_WRONG;
	/* The type may be the last word. */
	if (!text_word(&line, &type))
		return VERDICT_WRONG;
	if (!text_copy(&foundation, c->foundation, sizeof(c->foundation)) ||
	    !ice_is_ice_chars(c->foundation, 1, ICE_FOUNDATION_MAX_BYTES) ||
	    !text_number(&component, 3, &component_number) || component_number == 0 ||
	    component_number > COMPONENT_MAX || !text_copy(&transport, token, sizeof(token)) ||
	    !text_number(&priority, 10, &priority_number) || priority_number == 0 ||
	    priority_number > UINT32_MAX || !text_number(&port, 5, &port_number) ||
	    port_number > UINT16_MAX)
		return VERDICT_WRONG;
	v = worse(v, read_address(&address, port_number, &c->addr));
	v = worse(v, read_type(&type, &c->type));
	v = worse(v, read_related(&line, c));
	if (v == VERDICT_WRONG || !read_extensions(&line, c))
		return VERDICT_WRONG;
	if (!text_is(&transport, "udp") || component_number != COMPONENT)
		return VERDICT_PASS_OVER;
	c->priority =
		priority_number > ICE_PRIORITY_MAX ? ICE_PRIORITY_MAX : (uint32_t)priority_number;
	return port_number == 0 && v == VERDICT_USE ? VERDICT_WRONG : v;
}

static enum err append_candidate(struct ice_description *d, struct text line)
{
	struct ice_candidate c = {.transport = ICE_TRANSPORT_UDP};

	switch (read_candidate(line, &c)) {
	case VERDICT_USE:
		break;
	case VERDICT_PASS_OVER:
		return OK;
	case VERDICT_WRONG:
		return ERR_INVALID;
	}
	if (ice_candidate_check(&c) != OK)
		return ERR_INVALID;
	if (d->candidate_count < ICE_MAX_CANDIDATES)
		d->candidates[d->candidate_count++] = c;
	else
		d->surplus_count++;
	return OK;
}

/* --- reading: the other lines --- */

static enum err read_credential(const struct text *t, size_t min, size_t max, char *ret)
{
	char value[ICE_PWD_MAX_BYTES + 1];

	if (ret[0] != '\0' || !text_copy(t, value, max + 1) || !ice_is_ice_chars(value, min, max))
		return ERR_INVALID;
	memcpy(ret, value, strlen(value) + 1);
	return OK;
}

static void add_option(struct ice_description *d, const char *p, size_t len)
{
	char tag[ICE_OPTION_MAX_BYTES + 1];

	if (len > ICE_OPTION_MAX_BYTES || d->option_count == ICE_MAX_OPTIONS)
		return;
	memcpy(tag, p, len);
	tag[len] = '\0';
	if (!ice_is_ice_chars(tag, 1, ICE_OPTION_MAX_BYTES) || ice_description_has_option(d, tag))
		return;
	memcpy(d->options[d->option_count++], tag, len + 1);
}

static enum err read_options(struct ice_description *d, const struct text *t)
{
	const char *p = t->p;

	if (text_len(t) == 0 || d->option_count > 0)
		return ERR_INVALID;
	while (p < t->end) {
		const char *q = p;

		while (q < t->end && *q != ' ' && *q != ',')
			q++;
		add_option(d, p, (size_t)(q - p));
		p = q + 1;
	}
	return OK;
}

static enum err read_pacing(struct ice_description *d, const struct text *t)
{
	uint64_t ms;

	if (d->ta_ms != 0 || !text_number(t, 10, &ms) || ms == 0)
		return ERR_INVALID;
	d->ta_ms = ms > UINT16_MAX ? UINT16_MAX : (uint16_t)ms;
	return OK;
}

static enum err read_flag(bool *flag)
{
	if (*flag)
		return ERR_INVALID;
	*flag = true;
	return OK;
}

/* Kept if there is room and it is short; never an error. */
static void keep_extension(struct ice_description *d, const struct text *t)
{
	const char *colon = memchr(t->p, ':', text_len(t));
	struct text name = {t->p, colon ? colon : t->end};
	struct text value = {colon ? colon + 1 : t->end, t->end};
	struct ice_extension x = {0};

	if (d->extension_count < ICE_MAX_EXTENSIONS && text_copy(&name, x.name, sizeof(x.name)) &&
	    text_copy(&value, x.value, sizeof(x.value)) && is_session_extension(&x))
		d->extensions[d->extension_count++] = x;
}

enum err ice_sdp_read_line(struct ice_description *d, const char *line, size_t len)
{
	struct text t = {line, line + len};

	if (len > 0 && line[len - 1] == '\n')
		t.end--;
	if (t.p < t.end && t.end[-1] == '\r')
		t.end--;
	if (!text_take(&t, "a="))
		return OK;
	if (text_take(&t, "candidate:"))
		return append_candidate(d, t);
	if (text_take(&t, "ice-ufrag:"))
		return read_credential(&t, ICE_UFRAG_MIN_BYTES, ICE_UFRAG_MAX_BYTES, d->ufrag);
	if (text_take(&t, "ice-pwd:"))
		return read_credential(&t, ICE_PWD_MIN_BYTES, ICE_PWD_MAX_BYTES, d->pwd);
	if (text_take(&t, "ice-options:"))
		return read_options(d, &t);
	if (text_take(&t, "ice-pacing:"))
		return read_pacing(d, &t);
	if (text_equals(&t, "ice-lite"))
		return read_flag(&d->lite);
	if (text_equals(&t, "end-of-candidates"))
		return read_flag(&d->end_of_candidates);
	keep_extension(d, &t);
	return OK;
}

enum err ice_sdp_read(struct ice_description *d, const char *text, size_t len)
{
	const char *end = text + len;

	*d = (struct ice_description){0};
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *next = newline ? newline + 1 : end;
		enum err e = ice_sdp_read_line(d, text, (size_t)(next - text));

		if (e != OK)
			return e;
		text = next;
	}
	return (d->ufrag[0] == '\0') == (d->pwd[0] == '\0') ? OK : ERR_INVALID;
}

/* --- writing --- */

struct out {
	char *p, *end;
	bool failed;
};

static void __attribute__((format(printf, 2, 3))) put(struct out *o, const char *format, ...)
{
	size_t room = (size_t)(o->end - o->p);
	va_list args;
	int n;

	if (o->failed)
		return;
	va_start(args, format);
	n = vsnprintf(o->p, room, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= room)
		o->failed = true;
	else
		o->p += n;
}

static void put_candidate(struct out *o, const struct ice_candidate *c)
{
	char ip[NETADDR_TEXT_BYTES];
	struct netaddr addr = c->addr, related = c->related;

	/* Zones mean nothing elsewhere. */
	addr.scope_id = related.scope_id = 0;
	put(o, "candidate:%s %d UDP %" PRIu32 " %s %u typ %s", c->foundation, COMPONENT,
	    c->priority, netaddr_format_ip(&addr, ip), (unsigned int)addr.port,
	    ice_candidate_type_name(c->type));
	if (related.family != NETADDR_NONE)
		put(o, " raddr %s rport %u", netaddr_format_ip(&related, ip),
		    (unsigned int)related.port);
	else if (c->type != ICE_CANDIDATE_HOST)
		put(o, " raddr %s rport 0", addr.family == NETADDR_IP4 ? "0.0.0.0" : "::");
	for (size_t i = 0; i < c->extension_count; i++) {
		if (is_candidate_extension(&c->extensions[i]))
			put(o, " %s %s", c->extensions[i].name, c->extensions[i].value);
	}
}

const char *ice_sdp_write_candidate(const struct ice_candidate *c,
				    char buf[static ICE_SDP_LINE_BYTES])
{
	struct out o = {.p = buf, .end = buf + ICE_SDP_LINE_BYTES};

	put_candidate(&o, c);
	return buf;
}

static void put_options(struct out *o, const struct ice_description *d)
{
	const char *before = "a=ice-options:";

	for (size_t i = 0; i < d->option_count; i++) {
		if (!ice_is_ice_chars(d->options[i], 1, ICE_OPTION_MAX_BYTES))
			continue;
		put(o, "%s%s", before, d->options[i]);
		before = " ";
	}
	if (before[0] == ' ')
		put(o, "\r\n");
}

enum err ice_sdp_write(const struct ice_description *d, char *buf, size_t cap, size_t *ret_len)
{
	struct out o = {.p = buf, .end = buf + cap};

	if (d->lite)
		put(&o, "a=ice-lite\r\n");
	if (d->ufrag[0] != '\0')
		put(&o, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", d->ufrag, d->pwd);
	put_options(&o, d);
	if (d->ta_ms != 0)
		put(&o, "a=ice-pacing:%u\r\n", (unsigned int)d->ta_ms);
	for (size_t i = 0; i < d->extension_count; i++) {
		const struct ice_extension *x = &d->extensions[i];

		if (is_session_extension(x))
			put(&o, "a=%s%s%s\r\n", x->name, x->value[0] ? ":" : "", x->value);
	}
	for (size_t i = 0; i < d->candidate_count; i++) {
		put(&o, "a=");
		put_candidate(&o, &d->candidates[i]);
		put(&o, "\r\n");
	}
	if (d->end_of_candidates)
		put(&o, "a=end-of-candidates\r\n");
	if (o.failed || cap == 0)
		return ERR_NO_SPACE;
	*ret_len = (size_t)(o.p - buf);
	return OK;
}
