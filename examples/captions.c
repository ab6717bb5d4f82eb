/* SPDX-License-Identifier: MPL-2.0 */

/*
 * Live captions from C: plays a file or an address through symblsink and prints
 * the messages on the bus. Ctrl-C ends the talk and waits for its last results; a
 * second Ctrl-C stops at once.
 *
 *   cc -o captions captions.c $(pkg-config --cflags --libs gstreamer-1.0)
 *   ./captions talk.wav [http://127.0.0.1:8787]
 *
 * The plugin must be installed or on GST_PLUGIN_PATH.
 */

#include <errno.h>
#include <glib-unix.h>
#include <gst/gst.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>

#define MOST_LINES 10000 /* in the queue; more are dropped and counted */

/* Lines for stdout or stderr. A pipe without a reader blocks its writer, and then
 * the messages on the bus pile up. So a thread writes. */
typedef struct {
    FILE *file;
    GAsyncQueue *lines;
    GAsyncQueue *done;
    GMainLoop *loop; /* quit if the lines cannot be written; may be NULL */
    gint error;      /* errno of the thread */
    guint lost;
} Lines;

typedef struct {
    GMainLoop *loop;
    GstElement *pipeline;
    gboolean failed;
    Lines out, err;
} App;

static gpointer write_lines(gpointer data)
{
    Lines *to = data;
    char *line;

    while (*(line = g_async_queue_pop(to->lines))) {
        if (!g_atomic_int_get(&to->error)) {
            errno = 0;
            if (to->file == stdout)
                g_print("%s", line);
            else
                g_printerr("%s", line);
            if (fflush(to->file) || ferror(to->file)) {
                g_atomic_int_set(&to->error, errno ? errno : EIO);
                if (to->loop)
                    g_main_loop_quit(to->loop);
            }
        }
        g_free(line);
    }
    g_free(line);
    g_async_queue_push(to->done, to);
    return NULL;
}

static void lines_open(Lines *to, FILE *file, GMainLoop *loop)
{
    to->file = file;
    to->loop = loop;
    to->lines = g_async_queue_new();
    to->done = g_async_queue_new();
    g_thread_unref(g_thread_new("lines", write_lines, to));
}

/* Waits until everything is written, for that many seconds at most. */
static void lines_close(Lines *to, guint seconds)
{
    g_async_queue_push(to->lines, g_strdup(""));
    if (seconds)
        g_async_queue_timeout_pop(to->done, seconds * G_USEC_PER_SEC);
    else
        g_async_queue_pop(to->done);
}

G_GNUC_PRINTF(2, 3)
static void say(Lines *to, const char *format, ...)
{
    va_list args;

    if (g_async_queue_length(to->lines) >= MOST_LINES) {
        to->lost++;
        return;
    }
    va_start(args, format);
    g_async_queue_push(to->lines, g_strdup_vprintf(format, args));
    va_end(args);
}

/* Returns a text without the characters that move a terminal's cursor, reverse the
 * text or are invisible. The library symbl-captions does the same, and keeps more
 * emoji. The caller frees the result. */
static char *visible(const char *text)
{
    GString *shown = g_string_new(NULL);
    char *valid = g_utf8_make_valid(text ? text : "", -1);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar sign = g_utf8_get_char(at);
        GUnicodeType type = g_unichar_type(sign);

        if (type == G_UNICODE_CONTROL || g_unichar_isspace(sign)
            || type == G_UNICODE_LINE_SEPARATOR || type == G_UNICODE_PARAGRAPH_SEPARATOR)
            g_string_append_c(shown, ' ');
        else if ((sign >= 0x202a && sign <= 0x202e) || (sign >= 0x2066 && sign <= 0x2069))
            g_string_append_unichar(shown, 0xfffd);
        /* The joiners are part of words in Persian and Hindi, and of emoji. */
        else if (type != G_UNICODE_FORMAT || sign == 0x200c || sign == 0x200d)
            g_string_append_unichar(shown, sign);
    }
    g_free(valid);
    return g_string_free(shown, FALSE);
}

/* Returns a text field of a structure for display, or "". */
static char *text(const GstStructure *fields, const char *name)
{
    return visible(gst_structure_get_string(fields, name));
}

/* Prints one message of the element. A message has only the fields that are known. */
static void print_fields(App *app, const GstStructure *fields)
{
    g_autofree char *said = text(fields, "text");
    gboolean final = FALSE;
    guint64 at = 0;

    if (gst_structure_has_name(fields, "symbl/transcript")) {
        gst_structure_get_boolean(fields, "is-final", &final);
        if (!final)
            return;
        gst_structure_get_uint64(fields, "running-time", &at);
        guint64 tenths = at / (GST_SECOND / 10);
        say(&app->out, "[%02u:%02u.%u] %s\n", (guint)(tenths / 600),
            (guint)(tenths / 10 % 60), (guint)(tenths % 10), said);
    } else if (gst_structure_has_name(fields, "symbl/insight")) {
        g_autofree char *type = text(fields, "type");
        say(&app->out, "    %s: %s\n", type, said);
    } else if (gst_structure_has_name(fields, "symbl/tracker")) {
        g_autofree char *name = text(fields, "name");
        g_autofree char *value = text(fields, "value");
        say(&app->out, "    tracker %s: %s\n", name, value);
    } else if (gst_structure_has_name(fields, "symbl/topic")) {
        say(&app->out, "    topic: %s\n", said);
    } else if (gst_structure_has_name(fields, "symbl/gap")) {
        g_autofree char *reason = text(fields, "reason");
        say(&app->err, "audio was lost: %s\n", reason);
    }
}

/* Prints a warning or an error of the pipeline. */
static void print_error(App *app, const char *what, GError *error)
{
    g_autofree char *said = visible(error->message);

    say(&app->err, "%s: %s\n", what, said);
    g_error_free(error);
}

static gboolean on_message(GstBus *bus, GstMessage *message, gpointer data)
{
    App *app = data;
    GError *error = NULL;

    (void)bus;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_ELEMENT:
        if (gst_message_get_structure(message))
            print_fields(app, gst_message_get_structure(message));
        break;
    case GST_MESSAGE_WARNING:
        gst_message_parse_warning(message, &error, NULL);
        print_error(app, "warning", error);
        break;
    case GST_MESSAGE_ERROR:
        gst_message_parse_error(message, &error, NULL);
        print_error(app, "error", error);
        app->failed = TRUE;
        g_main_loop_quit(app->loop);
        break;
    case GST_MESSAGE_EOS:
        g_main_loop_quit(app->loop);
        break;
    default:
        break;
    }
    return G_SOURCE_CONTINUE;
}

static gboolean on_interrupt(gpointer data)
{
    App *app = data;

    gst_element_send_event(app->pipeline, gst_event_new_eos());
    return G_SOURCE_REMOVE; /* the next one ends the program */
}

/* Sets a property of an element of the pipeline. */
static void set(GstElement *pipeline, const char *name, const char *property, const char *value)
{
    GstElement *element = gst_bin_get_by_name(GST_BIN(pipeline), name);

    g_object_set(element, property, value, NULL);
    gst_object_unref(element);
}

int main(int argc, char **argv)
{
    App app = { 0 };
    GError *error = NULL;
    char *uri;
    GstBus *bus;
    guint interrupt;

    setlocale(LC_ALL, ""); /* g_print writes in the encoding of the terminal */
    signal(SIGPIPE, SIG_IGN); /* a write without a reader fails instead */
    gst_init(&argc, &argv);
    if (argc < 2 || argc > 3) {
        g_printerr("usage: %s INPUT [BASE-URL]\n", argv[0]);
        return 2;
    }
    app.pipeline = gst_parse_launch(
        "uridecodebin name=in caps=audio/x-raw expose-all-streams=false "
        "! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1 "
        "! symblsink name=sink insight-types=action-item+question+follow-up+topic",
        &error);
    if (error) {
        g_printerr("error: %s\n", error->message);
        g_clear_error(&error);
        g_clear_pointer(&app.pipeline, gst_object_unref);
        return 1;
    }
    uri = gst_uri_is_valid(argv[1]) ? g_strdup(argv[1]) : gst_filename_to_uri(argv[1], &error);
    if (!uri) {
        g_printerr("error: %s\n", error->message);
        g_clear_error(&error);
        gst_object_unref(app.pipeline);
        return 1;
    }
    set(app.pipeline, "in", "uri", uri);
    g_free(uri);
    if (argc == 3)
        set(app.pipeline, "sink", "base-url", argv[2]);

    app.loop = g_main_loop_new(NULL, FALSE);
    lines_open(&app.out, stdout, app.loop);
    lines_open(&app.err, stderr, NULL);
    bus = gst_element_get_bus(app.pipeline);
    gst_bus_add_watch(bus, on_message, &app);
    interrupt = g_unix_signal_add(SIGINT, on_interrupt, &app);

    /* If it fails, the bus says why. */
    gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
    g_main_loop_run(app.loop);
    gst_element_set_state(app.pipeline, GST_STATE_NULL);

    /* From here on Ctrl-C ends the program, because its output may never be read. */
    if (g_main_context_find_source_by_id(NULL, interrupt))
        g_source_remove(interrupt);
    lines_close(&app.out, 0);
    /* A reader that has gone, as `head` does, is not a failure. */
    if (app.out.error && app.out.error != EPIPE) {
        say(&app.err, "error: cannot write to standard output: %s\n", g_strerror(app.out.error));
        app.failed = TRUE;
    } else if (app.out.lost) {
        say(&app.err, "error: nobody read standard output in time: %u lines are missing in it\n",
            app.out.lost);
        app.failed = TRUE;
    }
    lines_close(&app.err, 1);

    gst_bus_remove_watch(bus);
    gst_object_unref(bus);
    gst_object_unref(app.pipeline);
    g_main_loop_unref(app.loop);
    return app.failed ? 1 : 0;
}
