/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * The socket is made here and handed to libmicrohttpd, so that a port in use can be told from other errors, and the
 * port that was chosen can be told at all. A body is collected in memory and never beyond HTTP_BODY_MAX: one that says
 * it is longer is answered at once, one that turns out to be is read on a little and answered then, and one that does
 * not end, or comes drop by drop, loses its connection.
 */
#include "http.h"

#include <errno.h>
#include <kurier/sys/clock.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SILENCE_S = 30,
    BODY_S = 10,
    CONNECTIONS_MAX = 512,
    STACK_BYTES = 512 * 1024
};

#define PROBLEM(F, S)                                                                                                  \
    F(S, INT32, status)                                                                                                \
    F(S, STRING, title)                                                                                                \
    F(S, STRING, detail)
KUR_RECORD(problem, PROBLEM);
KUR_RECORD_DEFINE(problem, PROBLEM);

struct http_server {
    struct MHD_Daemon *daemon;
    const struct http_route *routes;
    void *user;
    char url[128];
};

/* One request while it comes in. */
struct exchange {
    kur_buffer body;
    size_t received;
    int64_t begun_us;
};

/* ---- Answers ---- */

void http_problem(struct http_answer *answer, int status, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    kur_error cut; /* valid UTF-8, whatever the text was made of */
    kur_error_set(&cut, KUR_ERROR_INVALID_ARGUMENT, "%s", text);
    const char *title = MHD_get_reason_phrase_for((unsigned)status);
    struct problem problem = {.status = status, .title = title != NULL ? title : "Error", .detail = cut.message};
    kur_buffer_done(&answer->body);
    answer->status = status;
    answer->is_problem = true;
    problem_to_json(&problem, &answer->body, NULL);
}

bool http_is_json(const struct http_request *request)
{
    static const char json[] = "application/json";
    const char *type = request->content_type;
    if (type == NULL || strncasecmp(type, json, sizeof json - 1) != 0)
        return false;
    return type[sizeof json - 1] == '\0' || strchr("; \t", type[sizeof json - 1]) != NULL;
}

static enum MHD_Result reply(struct MHD_Connection *connection, struct http_answer *answer)
{
    if (answer->status == 0)
        http_problem(answer, 500, "no answer");
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.size, answer->body.data, MHD_RESPMEM_MUST_COPY);
    kur_buffer_done(&answer->body);
    if (response == NULL)
        return MHD_NO;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%d", answer->retry_after_s);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            answer->is_problem ? "application/problem+json" : "application/json");
    if (answer->location[0] != '\0')
        MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, answer->location);
    if (answer->allow != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    if (answer->retry_after_s > 0)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    enum MHD_Result queued = MHD_queue_response(connection, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result too_large(struct MHD_Connection *connection)
{
    struct http_answer answer = {0};
    http_problem(&answer, 413, "the body is longer than %d bytes", HTTP_BODY_MAX);
    return reply(connection, &answer);
}

/* ---- Requests ---- */

static enum MHD_Result begin(struct MHD_Connection *connection, void **state)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL)
        return MHD_NO;
    exchange->begun_us = kur_clock_monotonic_us();
    *state = exchange;
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length != NULL && strtoull(length, NULL, 10) > HTTP_BODY_MAX ? too_large(connection) : MHD_YES;
}

static enum MHD_Result collect(struct exchange *exchange, const char *data, size_t *size)
{
    exchange->received += *size;
    if (kur_clock_monotonic_us() - exchange->begun_us > BODY_S * 1000000LL || exchange->received > 16 * HTTP_BODY_MAX)
        return MHD_NO;
    if (exchange->received <= HTTP_BODY_MAX && kur_buffer_append(&exchange->body, data, *size) != KUR_OK)
        return MHD_NO;
    *size = 0;
    return MHD_YES;
}

/* Fills in what is behind the route's path; false when it is not that route's. */
static bool is_at(const struct http_route *route, struct http_request *request)
{
    size_t size = strlen(route->path);
    bool is_below = route->path[size - 1] == '/' && strncmp(request->path, route->path, size) == 0;
    request->rest = request->path + size;
    return is_below || strcmp(request->path, route->path) == 0;
}

static void route(const http_server *server, struct http_request *request, struct http_answer *answer)
{
    for (const struct http_route *route = server->routes; route->path != NULL; route++)
        if (is_at(route, request)) {
            answer->allow = route->method;
            if (strcmp(request->method, route->method) == 0) {
                answer->allow = NULL;
                route->handler(request, answer, server->user);
                return;
            }
        }
    if (answer->allow != NULL)
        http_problem(answer, 405, "this takes %s only", answer->allow);
    else
        http_problem(answer, 404, "there is nothing at %s", request->path);
}

static enum MHD_Result on_access(void *user, struct MHD_Connection *connection, const char *path, const char *method,
                                 const char *version, const char *data, size_t *size, void **state)
{
    (void)version;
    const http_server *server = user;
    struct exchange *exchange = *state;
    if (exchange == NULL)
        return begin(connection, state);
    if (*size > 0)
        return collect(exchange, data, size);
    if (exchange->received > HTTP_BODY_MAX)
        return too_large(connection);
    struct http_request request = {
        .method = method,
        .path = path,
        .content_type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE),
        .body = kur_bytes_of(exchange->body.data != NULL ? exchange->body.data : "", exchange->body.size)};
    struct http_answer answer = {0};
    request.arena = kur_arena_new();
    if (request.arena != NULL)
        route(server, &request, &answer);
    else
        http_problem(&answer, 503, "out of memory");
    enum MHD_Result replied = reply(connection, &answer);
    kur_arena_free(request.arena);
    return replied;
}

static void on_completed(void *user, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)user, (void)connection, (void)code;
    struct exchange *exchange = *state;
    if (exchange == NULL)
        return;
    kur_buffer_done(&exchange->body);
    free(exchange);
    *state = NULL;
}

/* ---- Start and stop ---- */

static int bind_first(const struct addrinfo *list)
{
    int on = 1, why = EADDRNOTAVAIL;
    for (; list != NULL; list = list->ai_next) {
        int fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
            bind(fd, list->ai_addr, list->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
            return fd;
        why = errno;
        if (fd >= 0)
            close(fd);
    }
    errno = why;
    return -1;
}

/* A listening socket, or -1 with an error that says what to do. */
static int listen_at(const struct http_options *options, kur_error *error)
{
    char host[256] = "127.0.0.1";
    const char *colon = strrchr(options->address, ':'), *port = colon != NULL ? colon + 1 : options->address;
    if (colon != NULL && (size_t)(colon - options->address) < sizeof host)
        snprintf(host, sizeof host, "%.*s", (int)(colon - options->address), options->address);
    struct addrinfo *list = NULL, hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    char *end;
    long number = strtol(port, &end, 10);
    int code = end == port || *end != '\0' || number < 0 || number > 65535 ? EAI_SERVICE
                                                                           : getaddrinfo(host, port, &hints, &list);
    if (code != 0) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "--%s is not a port or HOST:PORT: \"%.80s\": %s",
                      options->flag, options->address,
                      code == EAI_SERVICE ? "the port is not 0 to 65535" : gai_strerror(code));
        return -1;
    }
    int fd = bind_first(list);
    int why = errno;
    freeaddrinfo(list);
    if (fd < 0)
        kur_error_set(error, KUR_ERROR_SYSTEM,
                      "cannot listen at %s, port %s: %s; give another one by --%s, or 0 for any free one", host, port,
                      why == EADDRINUSE ? "the port is in use" : strerror(why), options->flag);
    return fd;
}

static void tell_url(http_server *server, int fd)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    char host[64] = "?", port[16] = "?";
    if (getsockname(fd, (struct sockaddr *)&bound, &size) == 0)
        getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    bool is_v6 = strchr(host, ':') != NULL;
    snprintf(server->url, sizeof server->url, "http://%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

http_server *http_start(const struct http_options *options, kur_error *error)
{
    http_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    int fd = listen_at(options, error);
    if (fd < 0) {
        free(server);
        return NULL;
    }
    server->routes = options->routes;
    server->user = options->user;
    tell_url(server, fd);
    unsigned how = options->threads ? MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL : MHD_USE_EPOLL;
    server->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | how, 0, NULL, NULL, on_access, server,
                         MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)CONNECTIONS_MAX, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_END);
    if (server->daemon != NULL)
        return server;
    close(fd);
    free(server);
    kur_error_set(error, KUR_ERROR_SYSTEM, "the HTTP server does not start: %s", strerror(errno));
    return NULL;
}

const char *http_url(const http_server *server)
{
    return server->url;
}

void http_stop(http_server *server)
{
    if (server == NULL)
        return;
    MHD_stop_daemon(server->daemon);
    free(server);
}
