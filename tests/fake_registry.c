/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "fake_registry.h"

#include <arpa/inet.h>
#include <check.h>
#include <kurier/sys/thread.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ANSWERS = 2200,
    CONNECTIONS = 512,
    REQUEST_MAX = 64 * 1024
};

struct answer {
    const char *request, *headers, *body;
    enum fake_way way;
    int code, given;
};

struct connection {
    struct fake *fake;
    int socket;
    bool is_used;
    pthread_t thread;
};

struct fake {
    int socket;
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct answer answers[ANSWERS];
    size_t answer_count;
    struct connection connections[CONNECTIONS];
    size_t connection_count;
    char last[4096];
    int asked;
    struct {
        char request[256];
        int count;
    } counts[ANSWERS];
    size_t count_count;
    bool is_released, ends;
};

/* Not Check's: scripts use it, too. */
static void need(bool holds)
{
    if (!holds)
        abort();
}

/* ---- What is answered ---- */

static int *count_of(struct fake *fake, const char *request, bool makes)
{
    for (size_t i = 0; i < fake->count_count; i++)
        if (strcmp(fake->counts[i].request, request) == 0)
            return &fake->counts[i].count;
    if (!makes)
        return NULL;
    need(fake->count_count < ANSWERS);
    snprintf(fake->counts[fake->count_count].request, sizeof fake->counts[0].request, "%s", request);
    return &fake->counts[fake->count_count++].count;
}

/* The next that was told for it, or the last one. */
static struct answer find_answer(struct fake *fake, const char *request)
{
    struct answer *found = NULL;
    for (size_t i = 0; i < fake->answer_count; i++)
        if (strcmp(fake->answers[i].request, request) == 0) {
            found = &fake->answers[i];
            if (found->given == 0)
                break;
        }
    if (found == NULL)
        return (struct answer){.code = 404, .body = "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}"};
    found->given++;
    return *found;
}

/* Whether there is more to come on this connection. */
static bool send_all(int socket, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(socket, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool wait_until_it_ends(struct fake *fake, bool or_is_released)
{
    pthread_mutex_lock(&fake->lock);
    while (!fake->ends && !(or_is_released && fake->is_released))
        pthread_cond_wait(&fake->changed, &fake->lock);
    bool goes_on = !fake->ends;
    pthread_mutex_unlock(&fake->lock);
    return goes_on;
}

/* A message with the head in it, as JSON. */
static void echo(const char *request, char *body, size_t size)
{
    char head[2048];
    size_t length = 0;
    for (; *request != '\0' && length < sizeof head - 1; request++)
        head[length++] = *request < ' ' || *request == '"' || *request == '\\' ? ' ' : *request;
    head[length] = '\0';
    snprintf(body, size, "{\"error_code\":40403,\"message\":\"%s\"}", head);
}

static bool give_answer(struct connection *connection, const struct answer *answer, const char *request)
{
    char head[512], echoed[4096];
    const char *body = answer->body != NULL ? answer->body : "";
    if (answer->way == FAKE_CLOSES)
        return false;
    if (answer->way == FAKE_SILENT || answer->way == FAKE_HELD)
        if (!wait_until_it_ends(connection->fake, answer->way == FAKE_HELD))
            return false;
    if (answer->way == FAKE_ECHO) {
        echo(request, echoed, sizeof echoed);
        body = echoed;
    }
    size_t size = strlen(body);
    if (answer->way == FAKE_ENDLESS)
        snprintf(head, sizeof head, "HTTP/1.1 %d Said\r\nConnection: close\r\n\r\n", answer->code);
    else
        snprintf(head, sizeof head, "HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
                 answer->code, size);
    const char *more = answer->headers != NULL ? answer->headers : "";
    if (!send_all(connection->socket, head, strlen(head)) || !send_all(connection->socket, more, strlen(more)) ||
        (answer->way != FAKE_ENDLESS && !send_all(connection->socket, "\r\n", 2)))
        return false;
    while (answer->way == FAKE_ENDLESS)
        if (!send_all(connection->socket, body, size))
            return false;
    return send_all(connection->socket, body, answer->way == FAKE_TRUNCATED ? size / 2 : size) &&
           answer->way != FAKE_TRUNCATED;
}

/* ---- What is asked ---- */

/* Reads a request, head and body; false at the end. */
static bool read_request(int socket, char *text, size_t room)
{
    size_t size = 0, whole = 0;
    while (whole == 0 || size < whole) {
        ssize_t got = size < room - 1 ? recv(socket, text + size, room - 1 - size, 0) : 0;
        if (got <= 0)
            return false;
        size += (size_t)got;
        text[size] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
        if (end != NULL && whole == 0)
            whole = (size_t)(end + 4 - text) + (length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    return true;
}

static void *serve(void *user)
{
    struct connection *connection = user;
    struct fake *fake = connection->fake;
    char *text = malloc(REQUEST_MAX);
    bool goes_on = true;
    while (goes_on && read_request(connection->socket, text, REQUEST_MAX)) {
        char request[256];
        snprintf(request, sizeof request, "%s", text);
        char *end = strstr(request, " HTTP/1.");
        if (end != NULL)
            *end = '\0';
        pthread_mutex_lock(&fake->lock);
        struct answer answer = find_answer(fake, request);
        snprintf(fake->last, sizeof fake->last, "%s", text);
        ++*count_of(fake, request, true);
        fake->asked++;
        pthread_cond_broadcast(&fake->changed);
        pthread_mutex_unlock(&fake->lock);
        goes_on = give_answer(connection, &answer, text);
    }
    shutdown(connection->socket, SHUT_RDWR);
    free(text);
    return NULL;
}

static void *take_connections(void *user)
{
    struct fake *fake = user;
    int socket, on = 1;
    while ((socket = accept(fake->socket, NULL, NULL)) >= 0) {
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        pthread_mutex_lock(&fake->lock);
        bool has_room = fake->connection_count < CONNECTIONS && !fake->ends;
        struct connection *connection = &fake->connections[fake->connection_count];
        if (has_room) {
            *connection = (struct connection){.fake = fake, .socket = socket};
            need(kur_thread_start(&connection->thread, serve, connection) == 0);
            fake->connection_count++;
        } else
            close(socket);
        pthread_mutex_unlock(&fake->lock);
    }
    return NULL;
}

/* ---- From the beginning to the end ---- */

struct fake *fake_start(void)
{
    struct fake *fake = calloc(1, sizeof *fake);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pthread_mutex_init(&fake->lock, NULL);
    kur_condition_init(&fake->changed);
    fake->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(bind(fake->socket, (struct sockaddr *)&address, sizeof address) == 0);
    need(listen(fake->socket, 64) == 0);
    need(getsockname(fake->socket, (struct sockaddr *)&address, &size) == 0);
    snprintf(fake->url, sizeof fake->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    need(kur_thread_start(&fake->thread, take_connections, fake) == 0);
    return fake;
}

void fake_stop(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->ends = true;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
    shutdown(fake->socket, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->socket);
    for (size_t i = 0; i < fake->connection_count; i++) {
        shutdown(fake->connections[i].socket, SHUT_RDWR);
        pthread_join(fake->connections[i].thread, NULL);
        close(fake->connections[i].socket);
    }
    pthread_cond_destroy(&fake->changed);
    pthread_mutex_destroy(&fake->lock);
    free(fake);
}

const char *fake_url(const struct fake *fake)
{
    return fake->url;
}

void fake_tell(struct fake *fake, const char *request, enum fake_way way, int code, const char *headers,
               const char *body)
{
    pthread_mutex_lock(&fake->lock);
    need(fake->answer_count < ANSWERS);
    fake->answers[fake->answer_count++] =
        (struct answer){.request = request, .headers = headers, .body = body, .way = way, .code = code};
    pthread_mutex_unlock(&fake->lock);
}

void fake_release(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->is_released = true;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

int fake_count(struct fake *fake, const char *request)
{
    pthread_mutex_lock(&fake->lock);
    const int *count = request != NULL ? count_of(fake, request, false) : &fake->asked;
    int result = count != NULL ? *count : 0;
    pthread_mutex_unlock(&fake->lock);
    return result;
}

void fake_await(struct fake *fake, const char *request, int count)
{
    struct timespec deadline = kur_deadline_after(30000);
    pthread_mutex_lock(&fake->lock);
    int failed = 0;
    const int *asked;
    while (((asked = count_of(fake, request, false)) == NULL || *asked < count) && failed == 0)
        failed = pthread_cond_timedwait(&fake->changed, &fake->lock, &deadline);
    pthread_mutex_unlock(&fake->lock);
    ck_assert_msg(failed == 0, "%s was not asked %d times", request, count);
}

void fake_last(struct fake *fake, char text[4096])
{
    pthread_mutex_lock(&fake->lock);
    memcpy(text, fake->last, sizeof fake->last);
    pthread_mutex_unlock(&fake->lock);
}
