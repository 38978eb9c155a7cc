//! Reload: another configuration for a running hub, all or nothing (H7).
//!
//! Everything new is built before anything old stops. Listeners and destinations whose settings did not
//! change are not touched; certificates are read again. On any error the old configuration stays.

use std::collections::HashMap;
use std::sync::Arc;

use super::stages::{Predecessor, rates_of, start_courier};
use super::{Assembly, Sources, StartError, make_live};
use crate::actors::adapter::{RunningSource, build_sink, mllp_settings};
use crate::finding::Findings;
use crate::journey::Live;
use crate::journey::deliver::Courier;
use crate::routes::{Configuration, Loaded};
use crate::telemetry::Metrics;

impl Assembly {
    /// Reads the files again. All of it takes effect, or none of it.
    pub async fn reload(&self) -> Result<String, StartError> {
        let _one = self.reloading.lock().await;
        let file = self.routes_file.clone();
        let loaded = off_the_runtime(move || Configuration::load(&file)).await;
        self.take_up(loaded).await
    }

    /// A configuration that was just read takes the place of the one of now; for whoever has the lock on reloads.
    pub(super) async fn take_up(&self, loaded: Result<Loaded, Findings>) -> Result<String, StartError> {
        let done = match loaded {
            Ok(loaded) => self.try_swap(loaded.configuration).await,
            Err(findings) => Err(StartError::Configuration(findings)),
        };
        if let Some(follow) = self.follower.get() {
            follow(self.addresses());
        }
        let outcome = if done.is_ok() { "done" } else { "refused" };
        Metrics::count(&self.hub.metrics.reloads, "routes", outcome);
        done
    }

    async fn try_swap(&self, configuration: Configuration) -> Result<String, StartError> {
        let before = self.hub.live.load_full();
        let next = make_live(self.hub.store.as_ref(), configuration).await?;
        let hash = next.configuration.hash.to_string();
        let mut couriers = (*self.outbox.couriers()).clone();
        couriers.retain(|name, _| same_destination(&before.configuration, &next.configuration, name));
        for spec in next.configuration.destinations.values() {
            if !couriers.contains_key(&spec.name) {
                build_sink(spec, Arc::clone(&self.hub.clock))?;
            }
        }
        self.free_changed_addresses(&next.configuration).await;
        let started = self.start_sources(&next.configuration).await;
        let started = match started {
            Ok(started) => started,
            Err(error) => {
                let back = self.start_sources(&before.configuration).await?;
                self.add_sources(back);
                return Err(error.into());
            }
        };
        self.swap(next, couriers, started).await?;
        self.releaser.release();
        tracing::info!(%hash, "the configuration was reloaded");
        Ok(hash)
    }

    /// A listener whose settings change on the same address has to let go of it first.
    async fn free_changed_addresses(&self, next: &Configuration) {
        let mut sources = (*self.sources.load_full()).clone();
        let wanted = |name: &String, source: &Arc<RunningSource>| {
            next.sources.get(name).and_then(mllp_settings).is_some_and(|settings| *settings == source.settings)
        };
        let taken: Vec<_> = next.sources.values().filter_map(mllp_settings).map(|settings| settings.listen).collect();
        let gone: Vec<String> = sources
            .iter()
            .filter(|(name, source)| !wanted(name, source) && taken.contains(&source.settings.listen))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(source) = sources.remove(&name) {
                source.drain();
                source.ended().await;
            }
        }
        self.sources.store(Arc::new(sources));
    }

    fn add_sources(&self, started: Sources) {
        let mut sources = (*self.sources.load_full()).clone();
        sources.extend(started);
        self.sources.store(Arc::new(sources));
    }

    async fn swap(
        &self,
        next: Live,
        mut couriers: HashMap<String, Courier>,
        started: Sources,
    ) -> Result<(), StartError> {
        let old = self.outbox.couriers();
        for spec in next.configuration.destinations.values() {
            if !couriers.contains_key(&spec.name) {
                let before = Predecessor::Courier(old.get(&spec.name).cloned());
                let courier = start_courier(&self.hub, spec, &self.root, before)?;
                couriers.insert(spec.name.clone(), courier);
            }
        }
        let rates = rates_of(&next.configuration, &self.hub.rates.load());
        self.hub.rates.store(Arc::new(rates));
        self.hub.live.store(Arc::new(next));
        fail::fail_point!("reload.after_swap", |_| Ok(()));
        self.outbox.set_couriers(couriers.clone());
        for (name, courier) in old.iter() {
            if !couriers.get(name).is_some_and(|kept| kept.is_same(courier)) {
                courier.stop();
            }
        }
        let mut sources = (*self.sources.load_full()).clone();
        let live = self.hub.live.load_full();
        sources.retain(|name, source| {
            let kept = live.configuration.sources.contains_key(name) && !started.contains_key(name);
            if !kept {
                source.drain();
            }
            kept
        });
        sources.extend(started);
        for tls in sources.values().filter_map(|source| source.tls.as_ref()) {
            if let Err(error) = tls.reload() {
                tracing::warn!(%error, "certificates stay as they were");
            }
        }
        self.sources.store(Arc::new(sources));
        Ok(())
    }
}

/// Reads and compiles a configuration beside the runtime: with hundreds of files it takes a third of a second, and
/// answers do not wait for it.
pub(super) async fn off_the_runtime(
    load: impl FnOnce() -> Result<Loaded, Findings> + Send + 'static,
) -> Result<Loaded, Findings> {
    match tokio::task::spawn_blocking(load).await {
        Ok(loaded) => loaded,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// Whether a destination means the same before and after.
fn same_destination(before: &Configuration, after: &Configuration, name: &str) -> bool {
    match (before.destinations.get(name), after.destinations.get(name)) {
        (Some(old), Some(new)) => old.adapter == new.adapter && old.delivery == new.delivery,
        _ => false,
    }
}
