//! One queue in the hands of one consumer.
//!
//! A delivery tag counts on the channel that it came by, and nowhere else: what was handed out before the connection
//! was lost comes again by the new one, and is acknowledged there only.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel, Consumer};
use tokio::sync::watch;

use super::Shared;
use super::link::Fault;
use super::message::record_in;
use crate::broker::hand::Hand;
use crate::broker::{Consumption, Record};

/// Records that RabbitMQ hands out before it waits for acknowledgements.
const PREFETCH: u16 = 256;
/// Pauses before a connection is tried again: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// One queue.
pub(super) struct Partition {
    shared: Arc<Shared>,
    queue: Arc<str>,
    closed: watch::Receiver<bool>,
    live: Option<Live>,
    /// Channels that were opened so far.
    generation: u64,
    pause: Duration,
    hand: Hand<Item>,
    /// Messages that are no records.
    strange: Vec<Acker>,
    /// The loss of the queue was told.
    told: bool,
}

/// A consumer on a channel of its own.
struct Live {
    channel: Channel,
    consumer: Consumer,
}

#[derive(Clone)]
struct Item {
    record: Record,
    tag: u64,
    generation: u64,
}

impl Partition {
    pub fn new(shared: Arc<Shared>, queue: Arc<str>, closed: watch::Receiver<bool>) -> Partition {
        Partition {
            shared,
            queue,
            closed,
            live: None,
            generation: 0,
            pause: PAUSE.0,
            hand: Hand::default(),
            strange: Vec::new(),
            told: true,
        }
    }

    /// Takes up the queue; one attempt.
    async fn open(&self) -> Result<Live, Fault> {
        let channel = self.shared.consuming.channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let queue = ShortString::try_new(self.queue.as_ref()).map_err(|_| Fault::NoQueue(self.queue.to_string()))?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = channel.basic_consume(queue, "".into(), options, arguments).await?;
        Ok(Live { channel, consumer })
    }

    /// Waits until the queue is taken up.
    async fn take_up(&mut self) {
        match self.open().await {
            Ok(live) => {
                self.shared.note(|standing| standing.consuming = None);
                self.generation += 1;
                self.pause = PAUSE.0;
                self.told = false;
                self.live = Some(live);
            }
            Err(fault) => {
                tracing::debug!(queue = %self.queue, %fault, "cannot consume yet");
                // Whoever publishes makes the queue again, and then all that it held.
                if matches!(fault, Fault::NoQueue(_)) && !self.told {
                    self.told = true;
                    self.shared.set_back();
                }
                let trouble: Arc<str> = fault.to_string().into();
                self.shared.note(|standing| standing.consuming = Some(trouble));
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(PAUSE.1);
            }
        }
    }

    /// A delivery and those that are here already, at most `max`.
    fn collect(&mut self, first: Delivery, max: usize) -> Vec<Record> {
        let mut items = Vec::new();
        let mut next = Some(first);
        while let Some(mut delivery) = next.take() {
            match record_in(&mut delivery) {
                Ok(record) => items.push(Item { record, tag: delivery.delivery_tag, generation: self.generation }),
                Err(error) => {
                    tracing::error!(queue = %self.queue, %error, "put aside as a dead letter");
                    self.strange.push(delivery.acker);
                }
            }
            if items.len() < max
                && let Some(live) = &mut self.live
            {
                next = live.consumer.next().now_or_never().flatten().and_then(Result::ok);
            }
        }
        self.hand.hand_out(&items);
        items.into_iter().map(|item| item.record).collect()
    }

    /// What is no record goes to the dead letters, before anything after it is acknowledged.
    async fn put_aside(&mut self) {
        while let Some(message) = self.strange.pop() {
            // If it fails, the connection is lost, and the message comes again.
            let _ = message.reject(BasicRejectOptions { requeue: false }).await;
        }
    }

    /// The queue has to be taken up again. What it handed out comes again.
    fn lose(&mut self) {
        self.live = None;
        self.hand.keep_again(|_| false);
    }
}

#[async_trait]
impl Consumption for Partition {
    async fn next(&mut self, max: usize) -> Option<Vec<Record>> {
        let max = max.max(1);
        let mut closed = self.closed.clone();
        loop {
            self.put_aside().await;
            let generation = self.generation;
            self.hand.keep_again(|item| item.generation == generation);
            let again = self.hand.take_again(max);
            if !again.is_empty() {
                return Some(again.into_iter().map(|item| item.record).collect());
            }
            let Some(live) = &mut self.live else {
                tokio::select! {
                    _ = closed.wait_for(|closed| *closed) => return None,
                    () = self.take_up() => continue,
                }
            };
            let came = tokio::select! {
                _ = closed.wait_for(|closed| *closed) => None,
                came = live.consumer.next() => Some(came),
            };
            match came {
                Some(Some(Ok(delivery))) => {
                    let records = self.collect(delivery, max);
                    if !records.is_empty() {
                        return Some(records);
                    }
                }
                Some(Some(Err(_)) | None) => self.lose(),
                None => {
                    self.lose();
                    return None;
                }
            }
        }
    }

    async fn acknowledge(&mut self, count: usize) {
        self.put_aside().await;
        let done = self.hand.acknowledge(count);
        let (Some(last), Some(live)) = (done.last(), &self.live) else { return };
        if last.generation == self.generation {
            let all_before = BasicAckOptions { multiple: true };
            if let Err(error) = live.channel.basic_ack(last.tag, all_before).await {
                tracing::debug!(queue = %self.queue, %error, "not acknowledged: it comes again");
            }
        }
    }

    async fn redeliver(&mut self) {
        self.hand.redeliver();
    }
}
