//! What a channel promises to both ends, hostile ends included.

use std::{
    fs::File,
    io::{PipeReader, Read, Write, pipe},
    os::unix::net::UnixStream,
    thread,
};

use super::*;

#[test]
fn messages_arrive_whole_and_in_order() {
    let (a, b) = Channel::pair().unwrap();
    let long = vec![7; 300_000];

    let sender = {
        let long = long.clone();
        thread::spawn(move || {
            a.send(b"first", None).unwrap();
            a.send(b"", None).unwrap();
            a.send(&long, None).unwrap();
        })
    };

    assert_eq!(bytes(&b), b"first");
    assert_eq!(bytes(&b), b"");
    assert_eq!(bytes(&b), long);
    sender.join().unwrap();
    assert!(b.receive().unwrap().is_none());
}

#[test]
fn the_longest_message_passes_and_one_byte_more_is_not_sent() {
    let (a, b) = Channel::pair().unwrap();
    let longest = vec![1; LINK_MESSAGE_MAX];

    let sender = thread::spawn(move || {
        let too_long = vec![1; LINK_MESSAGE_MAX + 1];
        assert!(matches!(a.send(&too_long, None), Err(ChannelError::TooLong { .. })));
        a.send(&longest, None).unwrap();
    });

    assert_eq!(bytes(&b).len(), LINK_MESSAGE_MAX);
    sender.join().unwrap();
}

#[test]
fn a_descriptor_arrives_with_its_own_message_and_works() {
    let (a, b) = Channel::pair().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    a.send(b"none", None).unwrap();
    a.send(b"one", Some(reader.as_fd())).unwrap();
    a.send(b"none", None).unwrap();
    drop(reader);

    assert!(b.receive().unwrap().unwrap().1.is_none());
    let (message, descriptor) = b.receive().unwrap().unwrap();
    assert!(b.receive().unwrap().unwrap().1.is_none());

    writer.write_all(b"through").unwrap();
    drop(writer);
    let mut text = String::new();
    File::from(descriptor.unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!((message.as_slice(), text.as_str()), (b"one".as_slice(), "through"));
}

#[test]
fn a_received_descriptor_is_not_inherited_by_programs() {
    let (a, b) = Channel::pair().unwrap();
    let (reader, _writer) = pipe().unwrap();
    a.send(b"x", Some(reader.as_fd())).unwrap();

    let (_, descriptor) = b.receive().unwrap().unwrap();

    let flags = rustix::io::fcntl_getfd(descriptor.unwrap()).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_second_descriptor_refuses_the_message_and_both_are_closed() {
    for count in [2, DESCRIPTOR_ROOM, DESCRIPTOR_ROOM + 3] {
        let (raw, b) = raw_and_channel();
        let (reader, mut writer) = pipe().unwrap();
        send_with_copies_of(&raw, &reader, count);
        drop(reader);

        assert!(matches!(b.receive(), Err(ChannelError::SurplusDescriptors)), "{count}");

        let broken = writer.write_all(b"anyone?").unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe, "a reader is still open");
    }
}

#[test]
fn a_length_over_the_limit_is_refused_before_anything_is_read() {
    for length in [u32::try_from(LINK_MESSAGE_MAX).unwrap() + 1, u32::MAX] {
        let (mut raw, b) = raw_and_channel();
        raw.write_all(&length.to_be_bytes()).unwrap();

        assert!(matches!(b.receive(), Err(ChannelError::TooLong { .. })));
    }
}

#[test]
fn a_channel_that_ends_within_a_frame_is_an_error_at_every_cut() {
    let frame = [0, 0, 0, 3, b'a', b'b', b'c'];
    for cut in 1..frame.len() {
        let (mut raw, b) = raw_and_channel();
        raw.write_all(&frame[..cut]).unwrap();
        drop(raw);

        assert!(matches!(b.receive(), Err(ChannelError::Truncated)), "cut at {cut}");
    }
}

#[test]
fn a_frame_that_trickles_in_is_put_together() {
    let (mut raw, b) = raw_and_channel();
    let sender = thread::spawn(move || {
        for byte in [0, 0, 0, 3, b'a', b'b', b'c'] {
            raw.write_all(&[byte]).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
    });

    assert_eq!(bytes(&b), b"abc");
    sender.join().unwrap();
}

#[test]
fn a_silent_peer_is_an_error_once_a_time_is_set() {
    let (_a, b) = Channel::pair().unwrap();
    b.set_timeout(Some(Duration::from_millis(20))).unwrap();

    assert!(matches!(b.receive(), Err(ChannelError::TimedOut)));
}

#[test]
fn sending_to_a_closed_peer_is_an_error_and_no_signal() {
    let (a, b) = Channel::pair().unwrap();
    drop(b);

    assert!(matches!(a.send(b"x", None), Err(ChannelError::Closed)));
}

#[test]
fn a_socket_that_was_non_blocking_blocks_as_a_channel() {
    let (mut raw, socket) = UnixStream::pair().unwrap();
    socket.set_nonblocking(true).unwrap();
    let b = Channel::from_fd(socket.into()).unwrap();

    let sender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        raw.write_all(&[0, 0, 0, 1, b'x']).unwrap();
    });

    assert_eq!(bytes(&b), b"x");
    sender.join().unwrap();
}

fn bytes(channel: &Channel) -> Vec<u8> {
    channel.receive().unwrap().unwrap().0
}

fn raw_and_channel() -> (UnixStream, Channel) {
    let (raw, socket) = UnixStream::pair().unwrap();
    (raw, Channel::from_fd(socket.into()).unwrap())
}

fn send_with_copies_of(raw: &UnixStream, descriptor: &PipeReader, count: usize) {
    let copies = vec![descriptor.as_fd(); count];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&copies)));
    let frame = [0, 0, 0, 1, b'x'];
    sendmsg(raw, &[IoSlice::new(&frame)], &mut control, SendFlags::empty()).unwrap();
}
