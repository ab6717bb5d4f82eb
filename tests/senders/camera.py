#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""A camera: an RTSP server on a free port of the loopback, with a picture that
never ends and the sound of a file.

    camera.py [--late MILLISECONDS] [--mute] [--sound "ENCODER ! PAYLOADER"] talk.wav

Prints its address when it is there. Each client sees and hears it from the
beginning. It ends when its standard input does.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PICTURE = (
    "videotestsrc is-live=true pattern=ball "
    "! video/x-raw,format=I420,width=160,height=120,framerate=25/1 "
    "! openh264enc gop-size=25 ! h264parse ! rtph264pay name=pay0 pt=96"
)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--late", type=int, default=0)
    parser.add_argument("--mute", action="store_true")
    parser.add_argument("--sound", default="mulawenc ! rtppcmupay")
    parser.add_argument("file")
    args = parser.parse_args()

    Gst.init(None)
    sound = (
        f'filesrc location="{args.file}" ! wavparse ! identity name=sound ! audioconvert '
        f"! audioresample ! {args.sound} name=pay1"
    )
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {PICTURE} )" if args.mute else f"( {PICTURE} {sound} )")

    def configure(_factory, media):
        element = media.get_element().get_by_name("sound")
        if element:
            element.get_static_pad("src").set_offset(args.late * Gst.MSECOND)

    factory.connect("media-configure", configure)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    server.get_mount_points().add_factory("/stream", factory)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/stream", flush=True)

    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, lambda *_: loop.quit())
    loop.run()


if __name__ == "__main__":
    main()
