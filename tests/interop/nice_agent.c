/*
 * nice_agent: libnice behind the interface of icetun-sdp-agent (see sdp_agent.c), to be put against
 * it.
 *
 *	nice_agent --role controlling|controlled [--stun HOST:PORT]
 *		[--turn URI --user U --password P] [--bind ADDR]... [--policy all|relay|host]
 *		[--aggressive] [--lite]
 *
 * HOST is an address. "restart" on standard input begins a restart.
 */
#include <nice/agent.h>
#include <nice/interfaces.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define COMPONENT 1
#define MAX_BIND  8

struct options {
	gboolean controlling, aggressive, lite;
	const char *policy;
	char stun_host[128], turn_host[128];
	guint stun_port, turn_port;
	NiceRelayType turn_type;
	const char *user, *password;
	const char *bind[MAX_BIND];
	size_t bind_count;
};

static struct options options = {.policy = "all"};
static GMainLoop *loop;
static NiceAgent *agent;
static guint stream;
static GString *block;
static gboolean remote_known;
static char remote_ufrag[300];
static guint generation;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "nice_agent: %s\n", what);
	exit(2);
}

static GString *describe(void)
{
	GString *s = g_string_new("");
	gchar *ufrag, *pwd;
	GSList *all = nice_agent_get_local_candidates(agent, stream, COMPONENT);

	if (!nice_agent_get_local_credentials(agent, stream, &ufrag, &pwd))
		die("no credentials");
	g_string_append_printf(s, "%sa=ice-ufrag:%s\r\na=ice-pwd:%s\r\n",
			       options.lite ? "a=ice-lite\r\n" : "", ufrag, pwd);
	for (GSList *i = all; i; i = i->next) {
		gchar *line = nice_agent_generate_local_candidate_sdp(agent, i->data);

		g_string_append_printf(s, "%s\r\n", line);
		g_free(line);
	}
	g_string_append(s, "a=end-of-candidates\r\n");
	g_slist_free_full(all, (GDestroyNotify)nice_candidate_free);
	g_free(ufrag);
	g_free(pwd);
	return s;
}

static void print_restart(void)
{
	GString *s = describe();
	gchar *escaped = g_strescape(s->str, NULL);
	gchar *ufrag, *pwd;

	nice_agent_get_local_credentials(agent, stream, &ufrag, &pwd);
	printf("{\"event\":\"restart\",\"ufrag\":\"%s\",\"description\":\"%s\"}\n", ufrag, escaped);
	fflush(stdout);
	g_free(ufrag);
	g_free(pwd);
	g_free(escaped);
	g_string_free(s, TRUE);
}

static void on_gathered(NiceAgent *a, guint s, gpointer data)
{
	GString *text = describe();

	(void)a;
	(void)s;
	(void)data;
	printf("%s\n", text->str);
	fflush(stdout);
	g_string_free(text, TRUE);
}

static const char *type_name(NiceCandidateType type)
{
	static const char *const names[] = {"host", "srflx", "prflx", "relay"};

	return (size_t)type < G_N_ELEMENTS(names) ? names[type] : "unknown";
}

static void print_candidate(const char *name, NiceCandidate *c)
{
	gchar ip[NICE_ADDRESS_STRING_LEN];

	nice_address_to_string(&c->addr, ip);
	printf(",\"%s\":{\"type\":\"%s\",\"ip\":\"%s\",\"port\":%u}", name, type_name(c->type), ip,
	       nice_address_get_port(&c->addr));
}

static void on_pair(NiceAgent *a, guint s, guint component, NiceCandidate *local,
		    NiceCandidate *remote, gpointer data)
{
	(void)a;
	(void)s;
	(void)component;
	(void)data;
	printf("{\"event\":\"selected\"");
	print_candidate("local", local);
	print_candidate("remote", remote);
	printf(",\"rtt_us\":0,\"generation\":%u}\n", generation);
	fflush(stdout);
}

static void on_state(NiceAgent *a, guint s, guint component, guint state, gpointer data)
{
	const char *name = state == NICE_COMPONENT_STATE_CONNECTING  ? "checking"
			   : state == NICE_COMPONENT_STATE_CONNECTED ? "connected"
			   : state == NICE_COMPONENT_STATE_READY     ? "completed"
			   : state == NICE_COMPONENT_STATE_FAILED    ? "failed"
								     : NULL;

	(void)a;
	(void)s;
	(void)component;
	(void)data;
	if (name)
		printf("{\"event\":\"state\",\"state\":\"%s\"}\n", name);
	fflush(stdout);
}

static void send_text(const char *text)
{
	nice_agent_send(agent, stream, COMPONENT, (guint)strlen(text), text);
}

static void on_data(NiceAgent *a, guint s, guint component, guint len, gchar *buf, gpointer data)
{
	gchar *text = g_strndup(buf, len);
	gchar *escaped = g_strescape(text, NULL);

	(void)a;
	(void)s;
	(void)component;
	(void)data;
	printf("{\"event\":\"data\",\"bytes\":%u,\"text\":\"%s\"}\n", len, escaped);
	fflush(stdout);
	if (g_str_has_prefix(text, "ping ")) {
		text[1] = 'o';
		send_text(text);
	}
	g_free(escaped);
	g_free(text);
}

static const char *value_after(const char *line, const char *prefix)
{
	return g_str_has_prefix(line, prefix) ? line + strlen(prefix) : NULL;
}

/* New credentials: the first description, the answer to our restart, or the peer's restart. */
static void take_credentials(const char *ufrag, const char *pwd, gboolean ours_is_new)
{
	if (remote_known && strcmp(ufrag, remote_ufrag) != 0 && !ours_is_new) {
		generation++;
		nice_agent_restart(agent);
		print_restart();
	}
	snprintf(remote_ufrag, sizeof(remote_ufrag), "%s", ufrag);
	remote_known = TRUE;
	if (!nice_agent_set_remote_credentials(agent, stream, ufrag, pwd))
		fprintf(stderr, "the credentials were not taken\n");
}

static gboolean restarting;

static void on_block(void)
{
	gchar **lines = g_strsplit(block->str, "\n", -1);
	const char *ufrag = NULL, *pwd = NULL;
	gboolean end = FALSE;
	GSList *candidates = NULL;

	for (gchar **l = lines; *l; l++) {
		const char *v;

		g_strchomp(*l);
		if ((v = value_after(*l, "a=ice-ufrag:")) != NULL)
			ufrag = v;
		if ((v = value_after(*l, "a=ice-pwd:")) != NULL)
			pwd = v;
		end |= strcmp(*l, "a=end-of-candidates") == 0;
		if (g_str_has_prefix(*l, "a=candidate:")) {
			NiceCandidate *c = nice_agent_parse_remote_candidate_sdp(agent, stream, *l);

			if (c)
				candidates = g_slist_append(candidates, c);
		}
	}
	if (ufrag && pwd) {
		take_credentials(ufrag, pwd, restarting);
		restarting = FALSE;
	}
	if (candidates)
		nice_agent_set_remote_candidates(agent, stream, COMPONENT, candidates);
	if (end)
		nice_agent_peer_candidate_gathering_done(agent, stream);
	g_slist_free_full(candidates, (GDestroyNotify)nice_candidate_free);
	g_strfreev(lines);
	g_string_truncate(block, 0);
}

static gboolean on_input(GIOChannel *channel, GIOCondition condition, gpointer data)
{
	gchar *line = NULL;
	GIOStatus status = g_io_channel_read_line(channel, &line, NULL, NULL, NULL);

	(void)condition;
	(void)data;
	if (status == G_IO_STATUS_AGAIN)
		return TRUE;
	if (status != G_IO_STATUS_NORMAL)
		return FALSE;
	g_strchomp(line);
	if (line[0] == '\0') {
		if (block->len > 0)
			on_block();
	} else if (strcmp(line, "quit") == 0) {
		g_main_loop_quit(loop);
	} else if (strcmp(line, "restart") == 0) {
		generation++;
		restarting = TRUE;
		nice_agent_restart(agent);
		print_restart();
	} else if (g_str_has_prefix(line, "send ")) {
		send_text(line + 5);
	} else {
		g_string_append_printf(block, "%s\n", line);
	}
	g_free(line);
	return TRUE;
}

static void split(const char *text, char *host, size_t cap, guint *port)
{
	const char *colon = strrchr(text, ':');

	if (!colon || (size_t)(colon - text) >= cap)
		die("HOST:PORT is needed");
	snprintf(host, cap, "%.*s", (int)(colon - text), text);
	*port = (guint)strtoul(colon + 1, NULL, 10);
}

static void parse_turn(const char *uri)
{
	char rest[256];

	options.turn_type = g_str_has_prefix(uri, "turns:")	     ? NICE_RELAY_TYPE_TURN_TLS
			    : g_str_has_suffix(uri, "transport=tcp") ? NICE_RELAY_TYPE_TURN_TCP
								     : NICE_RELAY_TYPE_TURN_UDP;
	snprintf(rest, sizeof(rest), "%s", strchr(uri, ':') + 1);
	rest[strcspn(rest, "?")] = '\0';
	split(rest, options.turn_host, sizeof(options.turn_host), &options.turn_port);
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i];

		if (strcmp(name, "--aggressive") == 0) {
			options.aggressive = TRUE;
			continue;
		}
		if (strcmp(name, "--lite") == 0) {
			options.lite = TRUE;
			continue;
		}
		if (++i == argc)
			die("a value is missing");
		if (strcmp(name, "--role") == 0)
			options.controlling = strcmp(argv[i], "controlling") == 0;
		else if (strcmp(name, "--policy") == 0)
			options.policy = argv[i];
		else if (strcmp(name, "--stun") == 0)
			split(argv[i], options.stun_host, sizeof(options.stun_host),
			      &options.stun_port);
		else if (strcmp(name, "--turn") == 0)
			parse_turn(argv[i]);
		else if (strcmp(name, "--user") == 0)
			options.user = argv[i];
		else if (strcmp(name, "--password") == 0)
			options.password = argv[i];
		else if (strcmp(name, "--bind") == 0 && options.bind_count < MAX_BIND)
			options.bind[options.bind_count++] = argv[i];
		else
			die("unknown option");
	}
}

static void start(void)
{
	NiceAgentOption flags = (options.aggressive ? 0 : NICE_AGENT_OPTION_REGULAR_NOMINATION) |
				(options.lite ? NICE_AGENT_OPTION_LITE_MODE : 0);

	agent = nice_agent_new_full(NULL, NICE_COMPATIBILITY_RFC5245,
				    flags | NICE_AGENT_OPTION_ICE_TRICKLE |
					    NICE_AGENT_OPTION_CONSENT_FRESHNESS);
	g_object_set(agent, "controlling-mode", options.controlling, "upnp", FALSE, "ice-tcp",
		     FALSE, "force-relay", strcmp(options.policy, "relay") == 0, NULL);
	if (options.stun_port && strcmp(options.policy, "host") != 0)
		g_object_set(agent, "stun-server", options.stun_host, "stun-server-port",
			     options.stun_port, NULL);
	for (size_t i = 0; i < options.bind_count; i++) {
		NiceAddress a;

		nice_address_init(&a);
		if (!nice_address_set_from_string(&a, options.bind[i]))
			die("not an address");
		nice_agent_add_local_address(agent, &a);
	}
	g_signal_connect(agent, "candidate-gathering-done", G_CALLBACK(on_gathered), NULL);
	g_signal_connect(agent, "component-state-changed", G_CALLBACK(on_state), NULL);
	g_signal_connect(agent, "new-selected-pair-full", G_CALLBACK(on_pair), NULL);
	stream = nice_agent_add_stream(agent, 1);
	nice_agent_set_stream_name(agent, stream, "application");
	if (options.turn_port && strcmp(options.policy, "host") != 0)
		nice_agent_set_relay_info(agent, stream, COMPONENT, options.turn_host,
					  options.turn_port, options.user, options.password,
					  options.turn_type);
	nice_agent_attach_recv(agent, stream, COMPONENT, NULL, on_data, NULL);
	if (!nice_agent_gather_candidates(agent, stream))
		die("cannot gather");
}

int main(int argc, char **argv)
{
	GIOChannel *input = g_io_channel_unix_new(0);

	parse(argc, argv);
	block = g_string_new("");
	loop = g_main_loop_new(NULL, FALSE);
	start();
	g_io_channel_set_flags(input, G_IO_FLAG_NONBLOCK, NULL);
	g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_input, NULL);
	g_main_loop_run(loop);
	g_object_unref(agent);
	g_main_loop_unref(loop);
	g_io_channel_unref(input);
	g_string_free(block, TRUE);
	return 0;
}
