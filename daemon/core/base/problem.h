/*
 * The one table of problems that a person can meet at the command line.
 *
 * `enum err` says what went wrong inside; a problem says what is wrong from where the user stands,
 * and what to do about it. The daemon answers a control request with a problem, by name; ictl
 * prints its two sentences and ends with its exit code, the same for text and JSON. So that both
 * sides, the documentation and the tests agree, each problem stands here once:
 *
 *   code    PROBLEM_<code> in C
 *   name    its name on the control socket (net.icetun.Control.<name>) and in logs
 *   exit    exit code of ictl, and of icetund where the problem stops the start; never changes
 *   wire    the daemon may answer with it (it then stands in docs/icetun.varlink as well)
 *   text    what is wrong, without capital and full stop
 *   advice  what to do; one or more whole sentences
 *
 * Exit codes are grouped: below 10 the programs themselves, 10 tokens and names, 20 the rendezvous
 * server, 30 peers, 40 the network of this host, 50 waiting, 60 files.
 */
#ifndef ICETUN_BASE_PROBLEM_H
#define ICETUN_BASE_PROBLEM_H

#include <stdbool.h>

#define PROBLEM_TABLE(X)                                                                           \
	X(NONE, "None", 0, false, "done", "")                                                      \
	X(INTERNAL, "Internal", 1, true, "something went wrong inside icetun",                     \
	  "Read the log of icetund (journalctl -u icetund) and report it together with that log.") \
	X(USAGE, "Usage", 2, false, "the command line is not right",                               \
	  "`ictl help` lists the commands, `ictl help COMMAND` explains one.")                     \
	X(NOT_RUNNING, "NotRunning", 3, false, "the daemon is not running",                        \
	  "Start it (systemctl start icetund), or name its socket with --socket.")                 \
	X(PERMISSION, "Permission", 4, false, "you have no permission for this",                   \
	  "Only root may change something; root and the group icetun may look.")                   \
	X(NOT_JOINED, "NotJoined", 5, true, "this host has not joined a network",                  \
	  "Ask whoever runs the network for a join token, then: ictl join TOKEN")                  \
	X(ALREADY_JOINED, "AlreadyJoined", 6, true, "this host has joined a network already",      \
	  "To join another one, leave this one first: ictl leave")                                 \
	X(NOT_UP, "NotUp", 7, true, "the overlay is down on this host", "Bring it up: ictl up")    \
	X(BUSY, "Busy", 8, true, "the daemon is busy with another change",                         \
	  "`ictl status` shows what it does; try again when it has finished.")                     \
	X(VERSION, "Version", 9, false, "ictl and icetund do not understand each other",           \
	  "Install both from the same version, then restart icetund.")                             \
	X(TOKEN_BAD, "TokenBad", 10, true, "this is not a join token",                             \
	  "A token begins with \"icetun1.\"; `icetun-rendezvous token create` prints one.")        \
	X(TOKEN_DAMAGED, "TokenDamaged", 11, true, "the join token is damaged",                    \
	  "Characters are missing or changed: copy it again, all of it.")                          \
	X(TOKEN_EXPIRED, "TokenExpired", 12, true, "the join token has expired",                   \
	  "Ask whoever runs the network for a new one.")                                           \
	X(TOKEN_USED, "TokenUsed", 13, true, "the join token has been used already",               \
	  "Each token is good for a fixed number of hosts: ask for a new one.")                    \
	X(TOKEN_UNKNOWN, "TokenUnknown", 14, true, "the server does not know this join token",     \
	  "It may have been withdrawn: ask whoever runs the network for a new one.")               \
	X(NAME_INVALID, "NameInvalid", 15, true, "this is not a valid name for a host",            \
	  "Use 1 to 63 of a-z, 0-9, '-', '_' and '.', a letter or digit first and last.")          \
	X(NAME_TAKEN, "NameTaken", 16, true, "another host of the network has this name",          \
	  "Choose another one: ictl join TOKEN --name NAME")                                       \
	X(NO_ADDRESS, "NoAddress", 17, true, "the network has no free address left",               \
	  "Whoever runs the network has to widen its prefix or remove hosts.")                     \
	X(TOKEN_VERSION, "TokenVersion", 18, true,                                                 \
	  "the join token is of another version of icetun", "Update icetun here, or the server.")  \
	X(SERVER_KEY, "ServerKey", 20, true,                                                       \
	  "the rendezvous server has another key than expected",                                   \
	  "Either something else answers at that address or the server was set up anew: "          \
	  "ask for a new token.")                                                                  \
	X(SERVER_UNREACHABLE, "ServerUnreachable", 21, true,                                       \
	  "the rendezvous server cannot be reached",                                               \
	  "Check that this host is online, that the server runs, and that no firewall is "         \
	  "between.")                                                                              \
	X(SERVER_REFUSED, "ServerRefused", 22, true, "the rendezvous server refused",              \
	  "Ask whoever runs the network; the server's log has the reason.")                        \
	X(SERVER_VERSION, "ServerVersion", 23, true,                                               \
	  "the rendezvous server speaks another version of the protocol",                          \
	  "Update icetun here, or the server.")                                                    \
	X(MEMBERSHIP_EXPIRED, "MembershipExpired", 24, true,                                       \
	  "this host's membership certificate is not valid now",                                   \
	  "Check the clock of this host; if it is right, leave and join again with a new token.")  \
	X(MEMBERSHIP_REVOKED, "MembershipRevoked", 25, true, "this host's membership was revoked", \
	  "Ask whoever runs the network; with a new token: ictl leave, then ictl join TOKEN")      \
	X(REPLACED, "Replaced", 26, true, "another host runs with the keys of this one",           \
	  "Was this machine copied? On one of the two: ictl leave, then join with a new token.")   \
	X(PEER_UNKNOWN, "PeerUnknown", 30, true, "the network has no such host",                   \
	  "`ictl peers` lists the hosts that are known here.")                                     \
	X(PEER_ABSENT, "PeerAbsent", 31, true, "that host is not online",                          \
	  "Check there that icetund runs and is up: ictl status")                                  \
	X(PEER_UNREACHABLE, "PeerUnreachable", 32, true, "no path to that host works",             \
	  "`ictl status` on both hosts shows what was tried.")                                     \
	X(NO_REPLY, "NoReply", 33, true, "no reply came",                                          \
	  "`ictl peers` shows the path; the other host may just have gone.")                       \
	X(NO_SESSION, "NoSession", 34, true, "there is no connection to that host to restart",     \
	  "`ictl peers` shows its state; `ictl ping` makes a connection.")                         \
	X(NO_TUN, "NoTun", 40, true, "there is no /dev/net/tun",                                   \
	  "Load the kernel module (modprobe tun); in a container, let it have that device.")       \
	X(TUN_PERMISSION, "TunPermission", 41, true, "icetund may not make a network device",      \
	  "Run it as root or with CAP_NET_ADMIN.")                                                 \
	X(ROUTE_OVERLAP, "RouteOverlap", 42, true,                                                 \
	  "the overlay's prefix overlaps a route of this host",                                    \
	  "Remove that route, or have the network use another prefix.")                            \
	X(INTERFACE_EXISTS, "InterfaceExists", 43, true,                                           \
	  "a network device with the overlay's name exists already",                               \
	  "Is another icetund running? Else set Name= in section [Interface] to another name.")    \
	X(TIMEOUT, "Timeout", 50, true, "it took too long",                                        \
	  "`ictl status` shows how far it came; --timeout sets how long to wait.")                 \
	X(CANCELLED, "Cancelled", 51, false, "nothing was changed", "Answer yes, or give --yes.")  \
	X(CONFIG, "Config", 60, false, "the configuration is not right",                           \
	  "Correct the file; packaging/examples/icetund.conf shows every key.")                    \
	X(STATE_UNSAFE, "StateUnsafe", 61, true, "the keys have to be icetund's alone",            \
	  "Start it as the owner of the state directory (root), whose mode is 0700, files 0600.")  \
	X(STATE_DAMAGED, "StateDamaged", 62, true, "the saved membership cannot be read",          \
	  "Restore the state directory from a backup, or remove `member` in it and join again.")   \
	X(RUNNING, "Running", 63, false, "another icetund answers on that control socket",         \
	  "Stop it first (systemctl stop icetund), or set another ControlSocket=.")

enum problem {
#define X(code, name, exit, wire, text, advice) PROBLEM_##code,
	PROBLEM_TABLE(X)
#undef X
		PROBLEM_COUNT
};

/* Return: the name of @p ("TokenUsed"); never NULL, also for values outside of the enum. */
const char *problem_name(enum problem p);
/* Return: what is wrong, a sentence fragment without capital and full stop. */
const char *problem_text(enum problem p);
/* Return: what to do about it, in whole sentences; "" for PROBLEM_NONE. */
const char *problem_advice(enum problem p);
/* Return: the exit code, 0 only for PROBLEM_NONE. */
int problem_exit(enum problem p);
/* The daemon may answer a request with @p. */
bool problem_is_wire(enum problem p);
/* Return: the problem called @name, or PROBLEM_COUNT when there is none. */
enum problem problem_find(const char *name);

#endif
