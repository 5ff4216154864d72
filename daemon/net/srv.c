#include "daemon/net/srv.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/base/compiler.h"

#define TRY_S		1
#define TRIES		2
#define ANSWER_BYTES	8192
#define SRV_FIXED_BYTES 6 /* priority, weight, port */

struct net_srv {
	uv_work_t work;
	struct net_srv_params params;
	bool is_cancelled;
	struct turn_srv_service services[TURN_SRV_SERVICES_MAX];
};

/* --- a DNS message --- */

/* Return: false when it does not parse. */
static bool parse_record(const ns_msg *m, const ns_rr *rr, struct turn_srv_service *ret)
{
	struct turn_srv *r = &ret->records[ret->record_count];
	const uint8_t *at = ns_rr_rdata(*rr);
	char target[NS_MAXDNAME];

	if (ns_rr_type(*rr) != ns_t_srv || ns_rr_class(*rr) != ns_c_in)
		return true;
	if (ns_rr_rdlen(*rr) <= SRV_FIXED_BYTES ||
	    dn_expand(ns_msg_base(*m), ns_msg_end(*m), at + SRV_FIXED_BYTES, target,
		      sizeof(target)) < 0)
		return false;
	if (ret->record_count == TURN_SRV_RECORDS_MAX || strlen(target) >= sizeof(r->target))
		return true;
	r->priority = (uint16_t)ns_get16(at);
	r->weight = (uint16_t)ns_get16(at + 2);
	r->port = (uint16_t)ns_get16(at + 4);
	memcpy(r->target, target, strlen(target) + 1);
	ret->record_count++;
	return true;
}

enum err net_srv_parse(const uint8_t *buf, size_t len, struct turn_srv_service *ret)
{
	ns_msg m;
	ns_rr rr;

	ret->record_count = 0;
	if (len > ANSWER_BYTES || ns_initparse(buf, (int)len, &m) < 0)
		return DROP_MALFORMED;
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
		if (ns_parserr(&m, ns_s_an, i, &rr) < 0 || !parse_record(&m, &rr, ret)) {
			ret->record_count = 0;
			return DROP_MALFORMED;
		}
	}
	return OK;
}

/* --- the thread --- */

static void ask(struct __res_state *resolver, struct turn_srv_service *s)
{
	uint8_t buf[ANSWER_BYTES];
	int len = res_nquery(resolver, s->name, ns_c_in, ns_t_srv, buf, sizeof(buf));

	if (len < 0)
		s->is_answered =
			resolver->res_h_errno == HOST_NOT_FOUND || resolver->res_h_errno == NO_DATA;
	else
		s->is_answered =
			(size_t)len <= sizeof(buf) && net_srv_parse(buf, (size_t)len, s) == OK;
}

static void on_work(uv_work_t *work)
{
	struct net_srv *q = work->data;
	struct __res_state resolver = {0};

	if (res_ninit(&resolver) != 0)
		return;
	resolver.retrans = TRY_S;
	resolver.retry = TRIES;
	for (size_t i = 0; i < q->params.count; i++) {
		ask(&resolver, &q->services[i]);
		if (!q->services[i].is_answered)
			break;
	}
	res_nclose(&resolver);
}

/* --- the loop --- */

static void after_work(uv_work_t *work, int status)
{
	struct net_srv *q = work->data;

	(void)status; /* cancelled: nothing is answered */
	if (!q->is_cancelled)
		q->params.on_done(q->params.ctx, q->services, q->params.count);
	free(q);
}

enum err net_srv_begin(struct net_srv **ret, const struct net_srv_params *params)
{
	struct net_srv *q;

	if (params->count > ARRAY_SIZE(q->services))
		return ERR_INVALID;
	q = calloc(1, sizeof(*q));
	if (!q)
		return ERR_NO_MEMORY;
	q->params = *params;
	memcpy(q->services, params->services, params->count * sizeof(q->services[0]));
	q->work.data = q;
	if (uv_queue_work(params->loop, &q->work, on_work, after_work) != 0) {
		free(q);
		return ERR_NO_MEMORY;
	}
	*ret = q;
	return OK;
}

void net_srv_cancel(struct net_srv *q)
{
	q->is_cancelled = true;
	(void)uv_cancel((uv_req_t *)&q->work);
}
