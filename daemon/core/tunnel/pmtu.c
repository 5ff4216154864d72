#include "daemon/core/tunnel/pmtu.h"

static void set_state(struct pmtu *m, enum pmtu_state state)
{
	m->state = state;
}

static uint16_t smaller(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

static void end_probe(struct pmtu *m)
{
	m->probe = 0;
	m->unsent = 0;
	m->due_us = DEADLINE_NONE;
}

static void begin_try(struct pmtu *m, uint64_t now_us)
{
	uint64_t timer_us = PMTU_TIMER_US << m->silent;

	m->unsent = 2;
	m->is_witnessed = false;
	m->sent_us = now_us;
	m->due_us = now_us + (timer_us < PMTU_TIMER_MAX_US ? timer_us : PMTU_TIMER_MAX_US);
}

static void begin_probe(struct pmtu *m, uint64_t now_us, uint16_t size)
{
	m->probe = size;
	m->number++;
	m->lost = 0;
	m->silent = 0;
	begin_try(m, now_us);
}

static uint16_t minimum(const struct pmtu *m)
{
	return smaller(m->ceiling, PMTU_MIN_BYTES);
}

static void enter_complete(struct pmtu *m, uint64_t now_us)
{
	set_state(m, PMTU_SEARCH_COMPLETE);
	m->size = m->low;
	m->is_found = true;
	m->next_us = now_us + PMTU_CONFIRM_US;
	m->raise_us = now_us + PMTU_RAISE_US;
}

static void enter_error(struct pmtu *m, uint64_t now_us)
{
	set_state(m, PMTU_ERROR);
	m->size = minimum(m);
	m->is_found = false;
	begin_probe(m, now_us, minimum(m));
}

/* The next size to look at. Return: 0 when nothing is left. */
static uint16_t next_size(const struct pmtu *m)
{
	if (m->high > m->ceiling && m->low < m->ceiling)
		return m->ceiling;
	if (m->high - m->low <= PMTU_STEP_BYTES)
		return 0;
	if (m->low < PMTU_USUAL_BYTES && m->high > PMTU_USUAL_BYTES)
		return PMTU_USUAL_BYTES;
	if (m->low == PMTU_USUAL_BYTES)
		return PMTU_USUAL_BYTES + PMTU_STEP_BYTES;
	return (uint16_t)((m->low + m->high) / 2);
}

/* Something fits: on to what may fit, too. */
static void search(struct pmtu *m, uint64_t now_us)
{
	uint16_t size = next_size(m);

	set_state(m, PMTU_SEARCHING);
	m->size = m->low;
	if (size)
		begin_probe(m, now_us, size);
	else
		enter_complete(m, now_us);
}

/* @size: of packets until something is known. */
static void begin(struct pmtu *m, uint64_t now_us, uint16_t size)
{
	set_state(m, PMTU_BASE);
	m->size = smaller(m->ceiling, size);
	m->is_found = false;
	m->low = 0;
	m->high = (uint16_t)(m->ceiling + 1);
	begin_probe(m, now_us, m->ceiling);
}

/* --- what has become of a probe -------------------------------------------------------------- */

static void fits(struct pmtu *m, uint64_t now_us, uint16_t size)
{
	end_probe(m);
	switch (m->state) {
	case PMTU_DISABLED:
		return;
	case PMTU_SEARCH_COMPLETE:
		m->next_us = now_us + PMTU_CONFIRM_US;
		return;
	case PMTU_BASE:
	case PMTU_SEARCHING:
	case PMTU_ERROR:
		m->low = size;
		search(m, now_us);
		return;
	}
}

static void does_not_fit(struct pmtu *m, uint64_t now_us, uint16_t size)
{
	end_probe(m);
	switch (m->state) {
	case PMTU_DISABLED:
		return;
	case PMTU_BASE:
		m->high = size;
		m->size = smaller(m->size, PMTU_BASE_BYTES);
		if (size > PMTU_BASE_BYTES)
			begin_probe(m, now_us, PMTU_BASE_BYTES);
		else
			enter_error(m, now_us);
		return;
	case PMTU_SEARCHING:
		m->high = size;
		search(m, now_us);
		return;
	case PMTU_SEARCH_COMPLETE:
		/* A black hole. */
		begin(m, now_us, size > PMTU_BASE_BYTES ? PMTU_BASE_BYTES : PMTU_MIN_BYTES);
		return;
	case PMTU_ERROR:
		/* Perhaps what was found of the sizes above is wrong as well. */
		m->next_us = now_us + PMTU_ERROR_US;
		return;
	}
}

/* --- inputs ---------------------------------------------------------------------------------- */

static void reset(struct pmtu *m, uint16_t ceiling)
{
	uint32_t number = m->number;

	*m = (struct pmtu){
		.state = PMTU_DISABLED,
		.ceiling = smaller(ceiling, PMTU_MAX_BYTES),
		.number = number,
		.due_us = DEADLINE_NONE,
	};
}

void pmtu_disable(struct pmtu *m, uint16_t ceiling)
{
	reset(m, ceiling);
	m->size = smaller(m->ceiling, PMTU_DEFAULT_BYTES);
	m->is_found = true;
}

void pmtu_start(struct pmtu *m, uint64_t now_us, uint16_t ceiling)
{
	reset(m, ceiling);
	begin(m, now_us, PMTU_DEFAULT_BYTES);
}

bool pmtu_pop_probe(struct pmtu *m, uint64_t now_us, uint16_t *ret_size, uint32_t *ret_number)
{
	if (m->unsent == 0)
		return false;
	if (m->unsent == 2)
		m->sent_us = now_us;
	*ret_size = m->unsent == 2 ? m->probe : PMTU_WITNESS_BYTES;
	*ret_number = m->number;
	m->unsent--;
	return true;
}

void pmtu_on_ack(struct pmtu *m, uint64_t now_us, uint32_t number, uint16_t size)
{
	uint64_t wait_us;

	if (m->probe == 0 || number != m->number)
		return;
	if (size == m->probe) {
		fits(m, now_us, size);
	} else if (size == PMTU_WITNESS_BYTES && !m->is_witnessed) {
		wait_us = now_us - m->sent_us;
		m->is_witnessed = true;
		m->due_us = now_us + (wait_us > PMTU_LOST_US ? wait_us : PMTU_LOST_US);
	}
}

void pmtu_on_refused(struct pmtu *m, uint64_t now_us, uint16_t size)
{
	if (m->probe != 0 && size == m->probe)
		does_not_fit(m, now_us, size);
}

/* What waits for the path to be used. */
static void go_on(struct pmtu *m, uint64_t now_us)
{
	switch (m->state) {
	case PMTU_DISABLED:
		return;
	case PMTU_BASE:
		begin(m, now_us, m->size);
		return;
	case PMTU_SEARCHING:
		search(m, now_us);
		return;
	case PMTU_SEARCH_COMPLETE:
		if (now_us >= m->raise_us && m->low < m->ceiling) {
			m->high = (uint16_t)(m->ceiling + 1);
			search(m, now_us);
		} else if (now_us >= m->next_us) {
			begin_probe(m, now_us, m->low);
		}
		return;
	case PMTU_ERROR:
		if (now_us >= m->next_us)
			begin(m, now_us, PMTU_MIN_BYTES);
		return;
	}
}

void pmtu_on_use(struct pmtu *m, uint64_t now_us)
{
	if (m->probe == 0)
		go_on(m, now_us);
}

void pmtu_on_doubt(struct pmtu *m, uint64_t now_us)
{
	if (m->state == PMTU_SEARCH_COMPLETE && m->probe == 0)
		m->next_us = now_us;
	pmtu_on_use(m, now_us);
}

void pmtu_rest(struct pmtu *m)
{
	end_probe(m);
	if (m->state != PMTU_SEARCH_COMPLETE)
		m->next_us = 0;
}

uint64_t pmtu_next_deadline(const struct pmtu *m)
{
	return m->due_us;
}

void pmtu_on_deadline(struct pmtu *m, uint64_t now_us)
{
	if (now_us < m->due_us)
		return;
	if (m->is_witnessed && ++m->lost == PMTU_MAX_PROBES)
		does_not_fit(m, now_us, m->probe);
	else if (!m->is_witnessed && ++m->silent == PMTU_SILENT_TRIES)
		pmtu_rest(m);
	else
		begin_try(m, now_us);
}
