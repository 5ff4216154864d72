#include <string.h>

#include "daemon/app/internal.h"

void servers_on_event(struct run *r, const struct overlay_event *e)
{
	switch (e->type) {
	case OVERLAY_EVENT_RELAY_SERVER_ADD:
		if (data_plane_add_server(r->data, e->socket, &e->server) != OK)
			log_warning("relay.server", "result=failed");
		break;
	case OVERLAY_EVENT_RELAY_SERVER_REMOVE:
		data_plane_remove_server(r->data, e->socket, &e->server);
		break;
	case OVERLAY_EVENT_WANT_SOCKET:
		sockets_open_spare(r, e->socket);
		break;
	case OVERLAY_EVENT_STREAM_OPEN:
		overlay_on_stream_closed(r->overlay, app_now_us(), e->stream);
		break;
	case OVERLAY_EVENT_STREAM_CLOSE:
	case OVERLAY_EVENT_PEER_STATE:
	case OVERLAY_EVENT_SESSION_ADD:
	case OVERLAY_EVENT_SESSION_REMOVE:
	case OVERLAY_EVENT_PATH:
	case OVERLAY_EVENT_PATH_CLEAR:
	case OVERLAY_EVENT_PEER_FORGOTTEN:
	case OVERLAY_EVENT_ROUTES:
	case OVERLAY_EVENT_REGISTERED:
	case OVERLAY_EVENT_UNREGISTERED:
	case OVERLAY_EVENT_REFUSED:
	case OVERLAY_EVENT_LINK_DEAD:
	case OVERLAY_EVENT_PONG:
	case OVERLAY_EVENT_LOCAL_CANDIDATES:
	case OVERLAY_EVENT_STAMP:
	case OVERLAY_EVENT_PEER_STAMP:
	case OVERLAY_EVENT_RESTART:
		break;
	}
}
