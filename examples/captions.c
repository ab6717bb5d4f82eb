/* SPDX-License-Identifier: MPL-2.0 */

/*
 * Live captions from C: plays a file or an address through symblsink and
 * prints what comes on the bus. Ctrl-C ends the talk and waits for its last
 * results.
 *
 *   cc -o captions captions.c $(pkg-config --cflags --libs gstreamer-1.0)
 *   ./captions talk.wav [http://127.0.0.1:8787]
 *
 * The plugin is installed or on GST_PLUGIN_PATH.
 */

#include <glib-unix.h>
#include <gst/gst.h>
#include <locale.h>

typedef struct {
    GMainLoop *loop;
    GstElement *pipeline;
    gboolean failed;
} App;

/* A text of a structure, or "". */
static const char *text(const GstStructure *fields, const char *name)
{
    const char *value = gst_structure_get_string(fields, name);
    return value ? value : "";
}

/* One message of the element. Fields that are not known are left out of it. */
static void print_fields(const GstStructure *fields)
{
    gboolean final = FALSE;
    guint64 at = 0;

    if (gst_structure_has_name(fields, "symbl/transcript")) {
        gst_structure_get_boolean(fields, "is-final", &final);
        if (!final)
            return;
        gst_structure_get_uint64(fields, "running-time", &at);
        guint64 tenths = at / (GST_SECOND / 10);
        g_print("[%02u:%02u.%u] %s\n", (guint)(tenths / 600),
                (guint)(tenths / 10 % 60), (guint)(tenths % 10),
                text(fields, "text"));
    } else if (gst_structure_has_name(fields, "symbl/insight")) {
        g_print("    %s: %s\n", text(fields, "type"), text(fields, "text"));
    } else if (gst_structure_has_name(fields, "symbl/tracker")) {
        g_print("    tracker %s: %s\n", text(fields, "name"), text(fields, "value"));
    } else if (gst_structure_has_name(fields, "symbl/topic")) {
        g_print("    topic: %s\n", text(fields, "text"));
    } else if (gst_structure_has_name(fields, "symbl/gap")) {
        g_printerr("audio was lost: %s\n", text(fields, "reason"));
    }
}

static gboolean on_message(GstBus *bus, GstMessage *message, gpointer data)
{
    App *app = data;
    GError *error = NULL;

    (void)bus;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_ELEMENT:
        if (gst_message_get_structure(message))
            print_fields(gst_message_get_structure(message));
        break;
    case GST_MESSAGE_WARNING:
        gst_message_parse_warning(message, &error, NULL);
        g_printerr("warning: %s\n", error->message);
        g_error_free(error);
        break;
    case GST_MESSAGE_ERROR:
        gst_message_parse_error(message, &error, NULL);
        g_printerr("error: %s\n", error->message);
        g_error_free(error);
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
    return G_SOURCE_CONTINUE;
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
    App app = { NULL, NULL, FALSE };
    GError *error = NULL;
    char *uri;
    GstBus *bus;

    setlocale(LC_ALL, ""); /* g_print writes in the encoding of the terminal */
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
    bus = gst_element_get_bus(app.pipeline);
    gst_bus_add_watch(bus, on_message, &app);
    g_unix_signal_add(SIGINT, on_interrupt, &app);

    /* Where that fails, the bus says why. */
    gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
    g_main_loop_run(app.loop);
    gst_element_set_state(app.pipeline, GST_STATE_NULL);

    gst_bus_remove_watch(bus);
    gst_object_unref(bus);
    gst_object_unref(app.pipeline);
    g_main_loop_unref(app.loop);
    return app.failed ? 1 : 0;
}
