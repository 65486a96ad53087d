/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "http.h"
#include "schemas.h"

/* ---- The command line ---- */

static void print_flag(const char *name, const char *value, const char *help)
{
    char left[40];
    snprintf(left, sizeof left, "--%s %s", name, value);
    printf("  %-24s  %s\n", left, help);
}

static void print_help(const struct service *service, const struct service_flag *shared)
{
    printf("usage: shop-%s [FLAG…]\n\n%s\n\n", service->name, service->purpose);
    for (const struct service_flag *flag = service->flags; flag != NULL && flag->name != NULL; flag++)
        print_flag(flag->name, flag->value, flag->help);
    for (; shared->name != NULL; shared++)
        print_flag(shared->name, shared->value, shared->help);
    print_flag("help", "", "print this");
    printf("\n%s0 done, 1 something failed, 2 the command line is wrong.\n",
           service->kind == SERVICE_TOOL ? "Exit status: " : "Runs until SIGINT or SIGTERM. Exit status: ");
}

static const char **find_flag(const struct service_flag *flags, const char *name, size_t size)
{
    for (; flags != NULL && flags->name != NULL; flags++)
        if (strlen(flags->name) == size && strncmp(flags->name, name, size) == 0)
            return flags->into;
    return NULL;
}

static bool refuse(struct service *service, const char *what, const char *argument)
{
    fprintf(stderr, "shop-%s: %s: \"%.80s\". See shop-%s --help.\n", service->name, what, argument, service->name);
    service->status = 2;
    return false;
}

static bool read_flags(struct service *service, const struct service_flag *shared, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            print_help(service, shared);
            return false;
        }
        if (strncmp(argument, "--", 2) != 0)
            return refuse(service, "not a flag", argument);
        size_t size = strcspn(argument + 2, "=");
        const char **into = find_flag(service->flags, argument + 2, size);
        if (into == NULL)
            into = find_flag(shared, argument + 2, size);
        if (into == NULL)
            return refuse(service, "no such flag", argument);
        if (argument[2 + size] == '=')
            *into = argument + 3 + size;
        else if (i + 1 < argc)
            *into = argv[++i];
        else
            return refuse(service, "a value is missing behind", argument);
    }
    return true;
}

bool service_number(const struct service *service, const char *flag, const char *text, int least, int most, int *number)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0 && value >= least && value <= most) {
        *number = (int)value;
        return true;
    }
    fprintf(stderr, "shop-%s: --%s is not a number from %d to %d: \"%.40s\"\n", service->name, flag, least, most, text);
    return false;
}

bool service_choice(const struct service *service, const char *flag, const char *text, const char *const choices[])
{
    for (size_t i = 0; choices[i] != NULL; i++)
        if (strcmp(text, choices[i]) == 0)
            return true;
    fprintf(stderr, "shop-%s: --%s is not one of", service->name, flag);
    for (size_t i = 0; choices[i] != NULL; i++)
        fprintf(stderr, " %s", choices[i]);
    fprintf(stderr, ": \"%.40s\"\n", text);
    return false;
}

bool service_guarantee(struct service *service, const char *text, kur_guarantee *guarantee)
{
    *guarantee = strcmp(text, "exactly-once") == 0 ? KUR_EXACTLY_ONCE : KUR_AT_LEAST_ONCE;
    bool known = service_choice(service, "guarantee", text, (const char *[]){"at-least-once", "exactly-once", NULL});
    service->status = known ? 0 : 2;
    return known;
}

static void signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

bool service_begin(struct service *service, int argc, char **argv)
{
    sigset_t held;
    signals(&held);
    if (service->kind != SERVICE_TOOL)
        pthread_sigmask(SIG_BLOCK, &held, NULL);
    signal(SIGPIPE, SIG_IGN);
    const char *slow = "0", *schemas = NULL;
    const struct service_flag shared[] = {
        {"http", "[HOST:]PORT", "no Kafka: do the same work on POST /work; port 0 is any free one", &service->http},
        {"slow-ms", "N", "pretend that each piece of work takes so long (default: 0)", &slow},
        {"as", "NAME", "what it calls itself in what it prints, to tell instances apart", &service->label},
        {"bootstrap", "HOST:PORT", "Kafka's address (default: KAFKA_BOOTSTRAP_SERVERS)", &service->bootstrap},
        {"properties", "FILE", "properties of librdkafka, a `name = value` a line", &service->properties_file},
        {"group", "NAME", "the group to be a member of (default: the service's name)", &service->group},
        {"registry", "URLS", "events in Avro, with their schemas in this registry (default: in JSON)",
         &service->registry_urls},
        {"schemas", "DIRECTORY", "only write the schemas of what it publishes, SUBJECT.avsc each", &schemas},
        {0}};
    static const size_t first[] = {[SERVICE_WORKER] = 0, [SERVICE_FRONT] = 3, [SERVICE_CALLER] = 8, [SERVICE_TOOL] = 8};
    const struct service_flag *known = shared + first[service->kind];
    service->group = service->label = service->name;
    if (!read_flags(service, known, argc, argv))
        return false;
    if (schemas != NULL) {
        service->status = schemas_write(service, schemas);
        return false;
    }
    service->status = service_number(service, "slow-ms", slow, 0, 60000, &service->slow_ms) ? 0 : 2;
    return service->status == 0;
}

int service_end(const struct service *service, kur_status status, const kur_error *error)
{
    schemas_end();
    if (status == KUR_OK)
        return 0;
    fprintf(stderr, "shop-%s: %s\n", service->name, error->message);
    return 1;
}

void service_wait(void)
{
    sigset_t awaited;
    int number;
    signals(&awaited);
    sigwait(&awaited, &number);
}

/* ---- Work ---- */

void service_take_time(const struct service *service)
{
    struct timespec left = {service->slow_ms / 1000, service->slow_ms % 1000 * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static const char *colour(const struct service *service)
{
    static const char *const colours[] = {"\033[36m", "\033[33m", "\033[32m", "\033[35m", "\033[34m", "\033[31m"};
    const char *wish = getenv("SHOP_COLOUR");
    bool on = wish != NULL ? strcmp(wish, "always") == 0 : isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
    /* By the name's letters, so that each service has one of its own. */
    const char *at = strchr("oeifsa", service->name[0]);
    return on && at != NULL ? colours[at - "oeifsa"] : "";
}

void service_say(const struct service *service, const char *order_id, const char *format, ...)
{
    char text[512], clock[16], line[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    /* What others wrote must not drive the terminal. */
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    size_t size = strlen(order_id);
    const char *tail = size > 6 ? order_id + size - 6 : order_id, *on = colour(service);
    const char *dim = on[0] != '\0' ? "\033[2m" : "", *off = on[0] != '\0' ? "\033[0m" : "";
    int length = snprintf(line, sizeof line, "%s%s.%03ld%s  %s%-9s%s  %-6s  %s\n", dim, clock, now.tv_nsec / 1000000,
                          off, on, service->label, off, tail, text);
    if (length >= (int)sizeof line) {
        length = sizeof line - 1;
        line[length - 1] = '\n';
    }
    /* In one piece: services share a terminal. */
    while (write(STDOUT_FILENO, line, (size_t)length) < 0 && errno == EINTR)
        ;
}

struct desk {
    order_created_handler *handler;
    void *user;
};

static void on_request(const struct http_request *request, struct http_answer *answer, void *user)
{
    const struct desk *desk = user;
    kur_error error = {0};
    struct order_created order;
    if (order_created_from_json(request->body, request->arena, &order, &error) != KUR_OK) {
        http_problem(answer, error.retriable ? 503 : 400, "%s", error.message);
        return;
    }
    switch (desk->handler(NULL, &order, desk->user)) {
    case KUR_DONE:
        answer->status = 200;
        break;
    case KUR_REJECT:
        http_problem(answer, 422, "rejected");
        break;
    default:
        answer->retry_after_s = 1;
        http_problem(answer, 503, "not now");
    }
}

int service_answer(const struct service *service, order_created_handler *handler, void *user)
{
    struct desk desk = {handler, user};
    kur_error error = {0};
    const struct http_route routes[] = {{"POST", "/work", on_request}, {0}};
    http_server *server = http_start(
        &(struct http_options){.address = service->http, .flag = "http", .routes = routes, .user = &desk}, &error);
    if (server == NULL)
        return service_end(service, error.code, &error);
    service_say(service, "", "answers at %s", http_url(server));
    service_wait();
    http_stop(server);
    return 0;
}
