use super::*;

const LIMITS: Limits = Limits {
    start: Duration::from_secs(20),
    stall: Duration::from_secs(5),
};

struct Lab {
    supervisor: Supervisor,
    now: Instant,
}

impl Lab {
    /// A supervisor that has started its first ffmpeg.
    fn started() -> Self {
        let mut lab = Self {
            supervisor: Supervisor::new(LIMITS, || 0.0),
            now: Instant::now(),
        };
        assert_eq!(lab.apply(Event::Start), Some(Action::Spawn));
        lab
    }

    fn live() -> Self {
        let mut lab = Self::started();
        lab.apply(Event::Key);
        assert_eq!(lab.state(), State::Live);
        lab
    }

    fn apply(&mut self, event: Event) -> Option<Action> {
        self.supervisor.apply(self.now, event)
    }

    fn state(&self) -> State {
        self.supervisor.status(self.now).0
    }

    fn kind(&self) -> Option<CauseKind> {
        self.supervisor.status(self.now).1.map(|c| c.kind)
    }

    fn pass(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    /// Pictures at 10 a second, and the ticks that come due.
    fn play(&mut self, seconds: f64, event: &Event) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.pass(0.1);
            assert_eq!(self.apply(event.clone()), None);
            if self.supervisor.deadline().is_some_and(|d| d <= self.now) {
                assert_eq!(self.apply(Event::Tick), None);
            }
        }
    }

    /// Lets time pass to the deadline.
    fn expire(&mut self) -> Option<Action> {
        self.now = self.supervisor.deadline().expect("a deadline");
        self.apply(Event::Tick)
    }

    /// ffmpeg fails at once, again and again; gives the waits in milliseconds.
    fn waits(&mut self, kind: CauseKind, times: usize) -> Vec<u128> {
        (0..times)
            .map(|_| {
                let Some(Action::Wait(delay, cause)) = self.apply(Event::Ended(kind.into())) else {
                    panic!("no wait");
                };
                assert_eq!(cause.kind, kind);
                assert_eq!(self.expire(), Some(Action::Spawn));
                delay.as_millis()
            })
            .collect()
    }
}

fn killed() -> Option<Action> {
    Some(Action::End(Ending::Killed))
}

#[test]
fn is_live_at_the_first_key_picture() {
    let mut lab = Lab::started();
    assert_eq!(lab.state(), State::Starting);
    lab.apply(Event::Bytes);
    lab.apply(Event::Picture);
    assert_eq!(lab.state(), State::Starting, "nobody could watch yet");
    lab.apply(Event::Key);
    assert_eq!((lab.state(), lab.kind()), (State::Live, None));
}

#[test]
fn a_camera_that_never_sends_is_silent_after_the_start_limit() {
    let mut lab = Lab::started();
    assert_eq!(lab.supervisor.deadline(), Some(lab.now + LIMITS.start));
    lab.pass(19.9);
    assert_eq!(lab.apply(Event::Tick), None);
    assert_eq!(lab.expire(), killed());
    assert_eq!(
        (lab.state(), lab.kind()),
        (State::Stalled, Some(CauseKind::Silent))
    );
    let action = lab.apply(Event::Ended(CauseKind::Killed.into()));
    assert!(
        matches!(action, Some(Action::Wait(_, c)) if c.kind == CauseKind::Silent),
        "our own reason"
    );
    assert_eq!(
        (lab.state(), lab.kind()),
        (State::Offline, Some(CauseKind::Silent))
    );
    assert!(lab.supervisor.backoff() > Duration::ZERO);
}

#[test]
fn half_a_packet_and_silence_is_noticed_after_the_stall_limit() {
    let mut lab = Lab::started();
    lab.pass(1.0);
    lab.apply(Event::Bytes);
    assert_eq!(lab.supervisor.deadline(), Some(lab.now + LIMITS.stall));
    assert_eq!(lab.expire(), killed());
    assert_eq!(lab.kind(), Some(CauseKind::Silent));
}

#[test]
fn bytes_without_pictures_do_not_count_as_progress_for_ever() {
    let mut lab = Lab::live();
    let mut killed_after = None;
    for tenth in 1..400 {
        lab.pass(0.1);
        lab.apply(Event::Bytes);
        if lab.apply(Event::Tick) == killed() {
            killed_after = Some(tenth);
            break;
        }
    }
    assert_eq!(
        (killed_after, lab.kind()),
        (Some(200), Some(CauseKind::NoPictures))
    );
}

#[test]
fn no_key_pictures_is_a_state_not_a_restart() {
    let mut lab = Lab::started();
    lab.play(29.0, &Event::Picture);
    assert_eq!(lab.state(), State::Starting);
    lab.play(2.0, &Event::Picture);
    assert_eq!(
        (lab.state(), lab.kind()),
        (State::Stalled, Some(CauseKind::NoKeyPictures))
    );
    lab.supervisor
        .explain_no_key(Cause::with_detail(CauseKind::NoKeyPictures, "why"));
    assert!(
        lab.supervisor
            .status(lab.now)
            .1
            .unwrap()
            .to_string()
            .ends_with("(why)")
    );
    lab.apply(Event::Key);
    assert_eq!(lab.state(), State::Live);
    lab.play(60.0, &Event::Picture);
    assert_eq!(lab.state(), State::Live, "a smart codec's pause");
    lab.play(40.0, &Event::Picture);
    assert_eq!(lab.state(), State::Stalled);
}

#[test]
fn the_deadline_of_the_key_pictures_is_announced_once() {
    let mut lab = Lab::started();
    lab.play(40.0, &Event::Picture);
    assert_eq!(lab.supervisor.deadline(), Some(lab.now + LIMITS.stall));
}

#[test]
fn every_exit_is_a_failure_and_waits_grow() {
    let mut lab = Lab::started();
    assert_eq!(
        lab.waits(CauseKind::Refused, 8),
        [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]
    );
    assert_eq!(
        (lab.state(), lab.kind()),
        (State::Starting, Some(CauseKind::Refused)),
        "still the reason"
    );
}

#[test]
fn permanent_causes_are_tried_slowly_and_a_new_situation_starts_anew() {
    let mut lab = Lab::started();
    assert_eq!(
        lab.waits(CauseKind::Auth, 6),
        [2000, 4000, 8000, 16_000, 32_000, 60_000]
    );
    assert_eq!(lab.waits(CauseKind::Refused, 2), [250, 500]);
    assert_eq!(lab.waits(CauseKind::Auth, 1), [2000]);
}

#[test]
fn a_healthy_run_resets_the_wait_and_a_short_one_does_not() {
    let mut lab = Lab::started();
    lab.waits(CauseKind::Exited, 5);
    lab.play(9.0, &Event::Key);
    assert_eq!(lab.waits(CauseKind::Exited, 1), [8000]);
    lab.play(11.0, &Event::Key);
    assert_eq!(lab.waits(CauseKind::Exited, 1), [250]);
    lab.play(11.0, &Event::Key);
    assert_eq!(lab.expire(), killed());
    let action = lab.apply(Event::Ended(CauseKind::Killed.into()));
    assert!(
        matches!(action, Some(Action::Wait(d, _)) if d.as_millis() == 250),
        "{action:?}"
    );
}

#[test]
fn a_fault_ends_ffmpeg_with_its_cause() {
    let mut lab = Lab::started();
    assert_eq!(
        lab.apply(Event::Fault(CauseKind::NotMpegTs.into())),
        killed()
    );
    assert_eq!(
        lab.apply(Event::Fault(CauseKind::Silent.into())),
        None,
        "once"
    );
    lab.apply(Event::Ended(CauseKind::Exited.into()));
    assert_eq!(lab.kind(), Some(CauseKind::NotMpegTs));
}

#[test]
fn stops_from_every_state() {
    let asked = Some(Action::End(Ending::Asked));
    let mut lab = Lab::live();
    assert_eq!(lab.apply(Event::Stop), asked);
    assert_eq!(lab.state(), State::Stopping);
    assert_eq!(
        lab.apply(Event::Ended(CauseKind::Exited.into())),
        Some(Action::Done)
    );
    assert_eq!(lab.apply(Event::Stop), None);

    let mut lab = Lab::live();
    assert_eq!(lab.expire(), killed());
    assert_eq!(lab.apply(Event::Stop), None, "it is being ended already");
    assert_eq!(
        lab.apply(Event::Ended(CauseKind::Exited.into())),
        Some(Action::Done)
    );

    let mut lab = Lab::started();
    lab.apply(Event::Ended(CauseKind::Refused.into()));
    assert_eq!(lab.apply(Event::Stop), Some(Action::Done));
    let mut idle = Supervisor::new(LIMITS, || 0.0);
    assert_eq!(idle.apply(lab.now, Event::Stop), Some(Action::Done));
}

#[test]
fn stands_by_while_another_ingest_is_live() {
    let mut lab = Lab::live();
    assert_eq!(lab.apply(Event::RivalGone), None);
    assert_eq!(
        lab.apply(Event::RivalLive),
        Some(Action::End(Ending::Asked))
    );
    assert!(lab.supervisor.is_standby());
    assert_eq!(
        lab.apply(Event::Ended(CauseKind::Exited.into())),
        Some(Action::StandBy)
    );
    assert_eq!(
        (lab.apply(Event::RivalLive), lab.supervisor.deadline()),
        (None, None)
    );
    assert_eq!(lab.apply(Event::RivalGone), Some(Action::Spawn));
    lab.apply(Event::Ended(CauseKind::Refused.into()));
    assert_eq!(
        lab.apply(Event::RivalLive),
        Some(Action::StandBy),
        "out of the wait"
    );
    assert_eq!(lab.apply(Event::Stop), Some(Action::Done));
    assert!(
        lab.supervisor.is_standby(),
        "no goodbye for a camera that goes on"
    );
}
