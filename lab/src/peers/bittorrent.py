# One BitTorrent node (python3-libtorrent) for the lab: no tracker, no DHT, peers told by their number.
#
#   bittorrent.py create FILE TORRENT
#   bittorrent.py seed|get NUMBER NODES TORRENT FOLDER     prints `done` when complete, runs until killed
#   bittorrent.py share NUMBER NODES OWN INTO TORRENT...   the same for many torrents, of which that of
#                                                          this number is seeded from the folder OWN
#
# Not a client for anything but the lab: addresses are those that the lab gives its nodes.
import os
import sys
import time

import libtorrent

PORT = 6881
PIECE_BYTES = 1 << 20
POLL_SECONDS = 0.05
POLLS_PER_CONNECT = 40


def address(number):
    return f"10.77.0.{number}"


def create(file, torrent):
    files = libtorrent.file_storage()
    libtorrent.add_files(files, file)
    creator = libtorrent.create_torrent(files, PIECE_BYTES)
    libtorrent.set_piece_hashes(creator, os.path.dirname(file))
    with open(torrent, "wb") as out:
        out.write(libtorrent.bencode(creator.generate()))


def session(number):
    return libtorrent.session({
        "listen_interfaces": f"{address(number)}:{PORT}",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "allow_multiple_connections_per_ip": True,
        "unchoke_slots_limit": 20,
        "send_buffer_watermark": 4 << 20,
        "alert_mask": 0,
        # No encryption, in either direction: the fastest it can be.
        "in_enc_policy": 2,
        "out_enc_policy": 2,
    })


def run(is_seed, number, nodes, torrent, folder):
    parameters = libtorrent.add_torrent_params()
    parameters.ti, parameters.save_path = libtorrent.torrent_info(torrent), folder
    if is_seed:
        parameters.flags |= libtorrent.torrent_flags.seed_mode
    here = session(number)
    handle = here.add_torrent(parameters)
    is_done = is_seed
    poll = 0
    while True:
        if poll % POLLS_PER_CONNECT == 0:
            for other in range(1, nodes + 1):
                if other != number:
                    handle.connect_peer((address(other), PORT))
        if not is_done and handle.status().is_seeding:
            print("done", flush=True)
            is_done = True
        poll += 1
        time.sleep(POLL_SECONDS)


def share(number, nodes, own, into, torrents):
    here = session(number)
    handles = []
    for owner, torrent in enumerate(torrents, 1):
        parameters = libtorrent.add_torrent_params()
        parameters.ti = libtorrent.torrent_info(torrent)
        parameters.save_path = own if owner == number else into
        if owner == number:
            parameters.flags |= libtorrent.torrent_flags.seed_mode
        handles.append(here.add_torrent(parameters))
    is_done = False
    poll = 0
    while True:
        if poll % POLLS_PER_CONNECT == 0:
            for handle in handles:
                for other in range(1, nodes + 1):
                    if other != number:
                        handle.connect_peer((address(other), PORT))
        if not is_done and all(handle.status().is_seeding for handle in handles):
            print("done", flush=True)
            is_done = True
        poll += 1
        time.sleep(POLL_SECONDS)


if sys.argv[1] == "create":
    create(*sys.argv[2:4])
elif sys.argv[1] == "share":
    share(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5], sys.argv[6:])
else:
    run(sys.argv[1] == "seed", int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:6])
