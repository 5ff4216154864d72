#include "daemon/net/sockaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

socklen_t net_sockaddr_from(const struct netaddr *a, union net_sockaddr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (a->family == NETADDR_IP4) {
		ret->ip4.sin_family = AF_INET;
		ret->ip4.sin_port = htons(a->port);
		memcpy(&ret->ip4.sin_addr, a->ip, 4);
		return sizeof(ret->ip4);
	}
	if (a->family == NETADDR_IP6) {
		ret->ip6.sin6_family = AF_INET6;
		ret->ip6.sin6_port = htons(a->port);
		ret->ip6.sin6_scope_id = a->scope_id;
		memcpy(&ret->ip6.sin6_addr, a->ip, 16);
		return sizeof(ret->ip6);
	}
	return 0;
}

bool net_sockaddr_to(const union net_sockaddr *sa, socklen_t len, struct netaddr *ret)
{
	uint8_t ip[16];

	memset(ret, 0, sizeof(*ret));
	if (len >= sizeof(sa->ip4) && sa->any.sa_family == AF_INET) {
		memcpy(ip, &sa->ip4.sin_addr, 4);
		*ret = netaddr_from_ip4(ip, ntohs(sa->ip4.sin_port));
		return true;
	}
	if (len >= sizeof(sa->ip6) && sa->any.sa_family == AF_INET6) {
		memcpy(ip, &sa->ip6.sin6_addr, 16);
		*ret = netaddr_from_ip6(ip, ntohs(sa->ip6.sin6_port));
		if (netaddr_is_link_local(ret) && ret->family == NETADDR_IP6)
			ret->scope_id = sa->ip6.sin6_scope_id;
		return true;
	}
	return false;
}

enum err net_error(int errno_value)
{
	switch (errno_value) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return DROP_QUEUE_FULL;
	case EMSGSIZE:
		return DROP_TOO_LONG;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ENODEV:
	case EHOSTDOWN:
	case ECONNREFUSED:
	case ETIMEDOUT:
		return ERR_NETWORK;
	case EADDRNOTAVAIL:
	case EINVAL:
		return ERR_NO_ADDRESS;
	case EADDRINUSE:
		return ERR_EXISTS;
	case EPERM:
	case EACCES:
		return ERR_PERMISSION;
	case EMFILE:
	case ENFILE:
		return ERR_LIMIT;
	default:
		return ERR_IO;
	}
}
