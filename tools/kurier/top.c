/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier top`: a live view in the terminal.
 *
 * Design notes: a thread asks the brokers, for that may take as long as they are silent; the main thread draws what was
 * found last, once a second and when the terminal changes, and listens to keys. Views go round in three: one is shown,
 * one was before it (for the trend), one is being filled. Whatever happens, the terminal gets back as it was; then the
 * process ends at once, for nothing here needs to be finished.
 */
#include "top.h"

#include <errno.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/thread.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "table.h"
#include "text.h"

enum {
    VIEWS = 3,
    REDRAW_MS = 1000,
    GROUPS_MAX = 1000
};

static struct top {
    struct invocation call;
    int64_t every_ms;
    kur_admin *admin;
    struct top_view views[VIEWS];

    pthread_mutex_t mutex; /* guards what follows */
    size_t shown;          /* of the views */
    char message[400];
    struct top_history histories[GROUPS_MAX];
    size_t history_count;
} state = {.every_ms = 2000, .mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- Asking ---- */

static void note_history(const struct lag_group *group)
{
    size_t i = 0;
    while (i < state.history_count && strcmp(state.histories[i].group, group->name) != 0)
        i++;
    if (i == GROUPS_MAX)
        return;
    struct top_history *history = &state.histories[i];
    if (i == state.history_count) {
        *history = (struct top_history){.group = strdup(group->name)};
        text_need(history->group != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
        state.history_count++;
    }
    history->left[history->count++ % TOP_HISTORY] = lag_backlog(group);
}

/* Of the groups that are named, or of all: a topic of dead letters has its group's name in its own. */
static bool is_asked_for(const char *topic, void *user)
{
    const struct invocation *call = user;
    bool is_named = call->argument_count == 0;
    for (size_t i = 0; i < call->argument_count; i++)
        is_named = is_named || strstr(topic, call->arguments[i]) != NULL;
    return is_named;
}

static void find_letters(struct top_view *view)
{
    struct invocation *call = &state.call;
    kur_error error = {0};
    view->has_letters = kur_letter_topics(call->client, is_asked_for, call, call->connection.timeout_ms, view->arena,
                                          &view->letters, &error) == KUR_OK;
    if (!view->has_letters)
        command_note(call->noun, "%s", error.message);
}

/* Fills the next view, and shows it. */
static int look(void)
{
    struct invocation *call = &state.call;
    const struct top_view *before = &state.views[state.shown]; /* written by this thread alone */
    size_t next = (state.shown + 1) % VIEWS;
    struct top_view *view = &state.views[next];
    kur_arena_reset(view->arena);
    view->has_letters = false;
    int status = lag_read(call, state.admin, view->arena, &view->groups);
    if (status != EXIT_DONE && status != EXIT_PARTIAL)
        return status;
    lag_find_times(call, view->arena, &view->groups);
    lag_find_trend(&view->groups, &before->groups);
    top_sort(&view->groups);
    find_letters(view);
    view->at_us = kur_clock_now_us();
    pthread_mutex_lock(&state.mutex);
    state.shown = next;
    for (size_t i = 0; i < view->groups.count; i++)
        note_history(&view->groups.groups[i]);
    pthread_mutex_unlock(&state.mutex);
    return EXIT_DONE;
}

static void *ask(void *user)
{
    (void)user;
    for (;;) {
        struct timespec pause = {state.every_ms / 1000, state.every_ms % 1000 * 1000000};
        char message[400];
        nanosleep(&pause, NULL);
        look();
        command_take_message(message, sizeof message);
        pthread_mutex_lock(&state.mutex);
        memcpy(state.message, message, sizeof message);
        pthread_mutex_unlock(&state.mutex);
    }
    return NULL;
}

/* ---- The terminal ---- */

static struct termios usual;
static volatile sig_atomic_t has_ended;

static void on_signal(int number)
{
    if (number != SIGWINCH) /* which only ends the wait: the next picture is of the new size */
        has_ended = 1;
}

static void write_all(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, text, size);
        if (written < 0 && errno != EINTR) {
            has_ended = 1; /* the terminal is gone */
            return;
        }
        text += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
}

static void give_terminal_back(void)
{
    static const char end[] = "\x1b[0m\x1b[?25h\x1b[?1049l";
    write_all(end, sizeof end - 1);
    tcsetattr(STDIN_FILENO, TCSANOW, &usual);
}

static void take_terminal(void)
{
    static const char begin[] = "\x1b[?1049h\x1b[?25l\x1b[2J";
    const struct sigaction action = {.sa_handler = on_signal};
    struct termios raw = usual;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    signal(SIGTSTP, SIG_IGN);
    atexit(give_terminal_back); /* when memory is out */
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    write_all(begin, sizeof begin - 1);
}

static void draw(void)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    kur_buffer frame = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    text_put(&frame, "\x1b[H");
    pthread_mutex_lock(&state.mutex);
    top_draw(&(struct top_screen){.view = &state.views[state.shown],
                                  .histories = state.histories,
                                  .history_count = state.history_count,
                                  .message = state.message,
                                  .now_us = kur_clock_now_us(),
                                  .width = size.ws_col > 0 ? size.ws_col : 80,
                                  .height = size.ws_row > 0 ? size.ws_row : 24,
                                  .is_coloured = table_has_colours()},
             &frame);
    pthread_mutex_unlock(&state.mutex);
    write_all(frame.data, frame.size);
    kur_buffer_done(&frame);
}

/* Until q, or a signal. */
static void show(void)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!has_ended) {
        char key = 0;
        draw();
        int ready = poll(&keys, 1, REDRAW_MS);
        if (ready > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q' || key == 3 || key == 4))
            return;
    }
}

/* ---- The verb ---- */

static int run(struct invocation *call)
{
    const char *terminal = getenv("TERM");
    pthread_t thread;
    if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1 || terminal == NULL || strcmp(terminal, "dumb") == 0 ||
        tcgetattr(STDIN_FILENO, &usual) != 0)
        return command_refuse(call->noun,
                              "this needs a terminal; kurier lag watch -o jsonl and kurier dlq list -o jsonl "
                              "are for scripts");
    for (int i = 0; i < VIEWS; i++) {
        state.views[i].arena = kur_arena_new();
        text_need(state.views[i].arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    }
    state.admin = connect_admin(call);
    /* The first look is one as any command's, with its messages. */
    int status = state.admin != NULL ? look() : EXIT_FAILED;
    if (status != EXIT_DONE)
        return status;
    command_keep_messages();
    if (kur_thread_start(&thread, ask, NULL) != 0)
        return command_fail(call->noun, "no thread can be started");
    take_terminal();
    show();
    give_terminal_back();
    _exit(EXIT_DONE);
}

static const struct option list[] = {
    {"--every", "TIME", "how often the brokers are asked; default 2s", OPTION_IN(DURATION, struct top, every_ms)},
    {.name = NULL}};
static const struct options options = {.list = list};

static const struct verb verb = {
    .arguments = "[GROUP…]",
    .about =
        "A live view in the terminal, the worst first: groups with what is unread, waiting and parked, trend and time "
        "to catch up; "
        "their retry topics; their dead letters. All groups that have offsets, or those named. q or Ctrl-C quits. What "
        "the "
        "columns mean tells kurier lag show --help.",
    .options = {&options, &connect_options},
    .needs_client = true,
    .state = &state.call,
    .run = run};
static const struct verb *const verbs[] = {&verb, NULL};

const struct noun top_noun = {
    .name = "top", .summary = "groups, retries and dead letters, live in the terminal", .verbs = verbs};
